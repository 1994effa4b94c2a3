"""``linecall model``: a project's model versions, and one as a folder that works without Linecall."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.base import database, new_app, settings, table

if TYPE_CHECKING:
    from app.services.alignment import Point

app = new_app("model", "Model versions: list, export.")
Slug = Annotated[str, typer.Argument(help="The project's short name.")]


@app.command("list")
def list_models(slug: Slug) -> None:
    """Print a project's model versions with their kappa on the evaluation set.

    Exit codes: 0 printed; 1 no such project; 2 wrong usage.
    """
    from app.services import models, projects

    with database(settings()) as db, db.read() as session:
        found = models.list_models(session, projects.get_project(session, slug))
    rows = [(m.version, m.engine, m.round_number, m.base_version, m.training_size, _kappa(m.evaluation), m.state)
            for m in found]  # fmt: skip
    typer.echo(table(("version", "engine", "round", "mined with", "labels", "kappa", "state"), rows))


def _kappa(point: "Point | None") -> str:
    if point is None:
        return "not scored"
    kappa = point.kappa
    if kappa.value is None:
        return f"undefined (n {kappa.n})"
    interval = "no interval" if kappa.low is None or kappa.high is None else f"{kappa.low:.2f} to {kappa.high:.2f}"
    return f"{kappa.value:.2f} ({interval}, n {kappa.n})"


@app.command("export")
def export(
    slug: Slug,
    folder: Annotated[Path, typer.Argument(help="Folder to write; it must be new or empty.")],
    version: Annotated[int | None, typer.Option(help="Its number; left out: the newest that is ready.")] = None,
    base: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="Folder of the encoder or language model, to be put in too."),
    ] = None,
) -> None:
    """Write a trained model as a folder: weights, model card, predict.py. docs/models.md says what loads it.

    Exit codes: 0 written; 1 refused or failed; 2 wrong usage.
    """
    from app.ml.artifacts import ArtifactStore
    from app.ml.portable import write_folder
    from app.services import models, projects
    from app.services.model_files import model_files

    config = settings()
    with database(config) as db, db.read() as session:
        project = projects.get_project(session, slug)
        model = models.trained_model(session, project, version)
        write_folder(model_files(session, ArtifactStore(config.resolved_artifacts_url), project, model, base), folder)
    typer.echo(f"Model version {model.version} written to {folder}.")
