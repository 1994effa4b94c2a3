"""Settings from the environment (``LINECALL_…``); docs/settings.md lists each one and a test keeps it so."""

from functools import lru_cache
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="LINECALL_", env_file=".env", extra="ignore")

    data_dir: Path = Field(Path("linecall-data"), description="Folder for the SQLite database, uploads and artifacts.")
    database_url: str = Field("", description="SQLAlchemy URL; empty means SQLite inside data_dir.")
    workflow_database_url: str = Field(
        "", description="Where durable workflows are checkpointed; empty derives it from database_url."
    )
    artifacts_url: str = Field("", description="fsspec URL for models and embeddings; empty means data_dir/artifacts.")
    cache_dir: Path | None = Field(None, description="Local cache for converted models; empty means data_dir/cache.")

    host: str = Field("127.0.0.1", description="Address that the web process listens on.")
    port: int = Field(8000, description="Port that the web process listens on.")
    base_url: str = Field("", description="Public address, used in printed links; empty means http://host:port.")
    secure_cookies: bool | None = Field(
        None, description="Send cookies over HTTPS only; unset means: if base_url is https."
    )
    session_days: int = Field(14, ge=1, description="Days until a sign-in expires.")
    invitation_days: int = Field(14, ge=1, description="Days until an invitation link expires.")
    max_upload_mb: int = Field(512, ge=1, description="Largest file that the page and the API accept.")

    lease_minutes: int = Field(30, ge=1, description="Minutes that an expert holds an item before others may get it.")
    worker_threads: int = Field(0, ge=0, description="Threads for models in the worker; 0 means all cores but one.")
    worker_nice: int = Field(10, ge=0, le=19, description="How far the worker yields the processor to the web process.")
    worker_heartbeat_seconds: float = Field(2.0, gt=0, description="How often a worker says that it is alive.")
    worker_dead_after_seconds: float = Field(
        15.0, gt=0, description="Silence after which a worker's rounds are taken over."
    )
    worker_poll_seconds: float = Field(0.5, gt=0, description="How often the worker looks for rounds to start.")

    remote_llm_api_key: SecretStr = Field(
        SecretStr(""), description="Key for the OpenAI-compatible endpoint; never stored in the database."
    )
    remote_llm_url: str = Field(
        "", description="Address the key above may be sent to, and what is below it; empty: the key is sent nowhere."
    )
    remote_llm_private_addresses: bool = Field(
        False,
        description="Let projects name language models at http:// and inside the network, such as http://localhost.",
    )
    oidc_issuer: str = Field(
        "", description="Address of the single sign-on service (OpenID Connect); empty: people sign in here only."
    )
    oidc_client_id: str = Field("", description="Name under which the service knows this installation.")
    oidc_client_secret: SecretStr = Field(SecretStr(""), description="Secret that goes with the name above.")
    oidc_name: str = Field("single sign-on", description="What the service is called on the sign-in button.")
    oidc_allowed_domains: str = Field(
        "", description="E-mail domains that may use it, separated by commas; empty means any."
    )
    oidc_auto_create: bool = Field(
        False, description="Make an account at the first sign-in of somebody who was not invited."
    )
    smtp_host: str = Field("", description="Server that e-mail is sent through; empty: no e-mail is sent.")
    smtp_port: int = Field(587, ge=1, le=65535, description="Its port.")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="How the connection is protected: starttls, tls from the start (port 465), or none."
    )
    smtp_user: str = Field("", description="Name to sign in to it with; empty: it asks for none.")
    smtp_password: SecretStr = Field(SecretStr(""), description="Password that goes with the name above.")
    smtp_from: str = Field("", description="Sender's address; empty: linecall@ the public address's host.")
    secret_key: SecretStr = Field(
        SecretStr(""),
        description="Key for secrets that are stored encrypted (webhooks'); empty: one is made in data_dir/secret.key.",
    )
    webhook_private_addresses: bool = Field(
        False, description="Let webhooks call http:// and addresses inside the network, such as 10.0.0.1 or localhost."
    )
    backup_before_migration: bool = Field(
        True,
        description="Have 'linecall migrate' keep the database as it was, SQLite beside it, Postgres in data_dir.",
    )
    deleted_project_days: int = Field(30, ge=1, description="Days for which the pages can undo a project's deletion.")
    log_level: str = Field("INFO", description="Level of the log on standard error.")

    @property
    def resolved_database_url(self) -> str:
        return self.database_url or f"sqlite:///{(self.data_dir / 'linecall.sqlite').absolute()}"

    @property
    def resolved_workflow_url(self) -> str:
        """SQLite keeps workflow checkpoints in a file of their own, so that they never wait for answers."""
        if self.workflow_database_url:
            return self.workflow_database_url
        url = self.resolved_database_url
        if url.startswith("sqlite:///"):
            return url.removesuffix(".sqlite") + "-workflows.sqlite"
        return url

    @property
    def resolved_artifacts_url(self) -> str:
        return self.artifacts_url or f"file://{(self.data_dir / 'artifacts').absolute()}"

    @property
    def resolved_cache_dir(self) -> Path:
        return (self.cache_dir or self.data_dir / "cache").absolute()

    @property
    def resolved_base_url(self) -> str:
        return (self.base_url or f"http://{self.host}:{self.port}").rstrip("/")

    @field_validator("oidc_issuer")
    @classmethod
    def _issuer_is_safe(cls, url: str) -> str:
        parts = urlsplit(url)
        if url and parts.scheme != "https" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise ValueError("it must be an address that begins with https://")
        return url

    @property
    def sso_is_configured(self) -> bool:
        return bool(self.oidc_issuer and self.oidc_client_id and self.oidc_client_secret.get_secret_value())

    @property
    def oidc_domains(self) -> frozenset[str]:
        return frozenset(part.strip().lower() for part in self.oidc_allowed_domains.split(",") if part.strip())

    @property
    def cookies_are_secure(self) -> bool:
        if self.secure_cookies is not None:
            return self.secure_cookies
        return self.resolved_base_url.startswith("https:")


@lru_cache
def get_settings() -> Settings:
    return Settings()
