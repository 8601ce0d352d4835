# syntax=docker/dockerfile:1
# The image of every role. `make image` builds it; nothing but this folder and the pinned wheels goes in.
#
# BASE names the interpreter that the pins are made with. Pin it by digest: --build-arg BASE=python:3.11-slim@sha256:…
ARG BASE=python:3.11-slim

FROM ${BASE} AS built
WORKDIR /src
COPY requirements/build.txt requirements/run.txt requirements/
# Wheels alone, each with its hash: nothing is compiled, here or later.
RUN python -m venv /usr/local/regrant \
    && python -m venv /builder \
    && /usr/local/regrant/bin/pip install --no-cache-dir --only-binary :all: --require-hashes -r requirements/run.txt \
    && /builder/bin/pip install --no-cache-dir --only-binary :all: --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY docs docs
COPY schemas schemas
COPY service service
COPY statemachine statemachine
RUN /builder/bin/pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /wheels . \
    && /usr/local/regrant/bin/pip install --no-cache-dir --no-deps --no-index /wheels/*.whl \
    && /usr/local/regrant/bin/pip check \
    && /usr/local/regrant/bin/pip uninstall --yes pip setuptools \
    && python -m compileall -q /usr/local/regrant/lib

FROM ${BASE}
LABEL org.opencontainers.image.title="regrant" \
    org.opencontainers.image.description="Brings a broken data connector back to life." \
    org.opencontainers.image.licenses="Apache-2.0"
COPY --from=built /usr/local/regrant /usr/local/regrant
# The root may be read-only: nothing but /tmp is written.
ENV PATH=/usr/local/regrant/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /tmp
# As the chart has it. A number, since Kubernetes can't tell of a name whether it is root.
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["regrant"]
CMD ["serve"]
