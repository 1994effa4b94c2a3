# Two images from one file: `--target web` has no torch, `--target worker` has it.
# The project's own tests have no container engine, so this file is not built there: it is kept simple for that.

FROM python:3.12-slim AS wheel
WORKDIR /src
COPY . .
# There is no npm in this image: the script takes Node.js from PyPI.
RUN python scripts/build_assets.py && pip wheel --no-cache-dir --no-deps -w /dist .

FROM python:3.12-slim AS web
RUN useradd --create-home --uid 10001 linecall && install -d -o linecall /data
COPY requirements.lock /tmp/
COPY --from=wheel /dist /tmp/dist
RUN pip install --no-cache-dir -c /tmp/requirements.lock /tmp/dist/*.whl
USER linecall
WORKDIR /srv
ENV LINECALL_DATA_DIR=/data LINECALL_HOST=0.0.0.0
VOLUME /data
EXPOSE 8000
CMD ["sh", "-c", "linecall migrate && exec linecall web"]

FROM web AS worker
USER root
# Any build of torch 2.13.0 fits the lock file; add --index-url here for one without CUDA.
RUN pip install --no-cache-dir -c /tmp/requirements.lock "$(ls /tmp/dist/*.whl)[worker]"
USER linecall
CMD ["sh", "-c", "linecall migrate && exec linecall worker"]
