# The operator's image: one virtual environment on a slim Python, and nothing else.
# `make image-check` runs these very steps on a clean folder, without an image engine.

# Version and digest; the minor version is the one that the tests run on. A newer one:
#   docker buildx imagetools inspect python:3.11-slim-trixie
FROM python:3.11.16-slim-trixie@sha256:be1575ed968de893bd54f4c56315ff7c4736ce522c1bca08fd521731aafc0d76 AS base

# The official image ships its standard library without bytecode, and a read-only container would compile it again at
# every start, at a fifth of a CPU. Hashes that nobody checks, because builders may rewrite time stamps.
RUN python -m compileall -q -x site-packages --invalidation-mode unchecked-hash /usr/local/lib


FROM base AS build

WORKDIR /src

# The build backend lives in an environment of its own and brings the pip; the result has neither.
COPY requirements-build.lock requirements.lock ./
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes --requirement requirements-build.lock \
    && python -m venv --without-pip /opt/operator \
    && /opt/build/bin/pip --python /opt/operator/bin/python install --no-compile --require-hashes --requirement requirements.lock

COPY pyproject.toml README.md LICENSE ./
COPY fsm fsm/
COPY k8s k8s/
COPY cloudflare_ops cloudflare_ops/
COPY controller controller/
RUN /opt/build/bin/python -m hatchling build --target wheel --directory dist \
    && /opt/build/bin/pip --python /opt/operator/bin/python install --no-compile --no-index --no-deps dist/*.whl \
    && python -m compileall -q --invalidation-mode unchecked-hash /opt/operator/lib


FROM base

COPY --from=build /opt/operator /opt/operator

ENV PATH=/opt/operator/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /
# Numeric, so that `runAsNonRoot` can be checked without a look into the image.
USER 65532:65532
ENTRYPOINT ["opencode-cloudflare-operator"]
