# Two images from one file, both with the demo bundle:
#
#   docker build -t sammoe .                          the service; no torch
#   docker build -t sammoe-triton --target triton .   NVIDIA's Triton with the bundle's models
#
# The service alone needs neither Triton nor Redis, nor a GPU:
#
#   docker run --rm -p 127.0.0.1:8000:8000 -v sammoe-state:/var/lib/sammoe \
#     -e SAMMOE_API_KEYS=alice:a-key-of-at-least-16-characters sammoe
#
# Without API keys it refuses to start: inside of a container it can not listen on loopback alone.

# The page at /viewer/, which the Python package alone does not hold.
FROM node:24-bookworm-slim AS page
WORKDIR /src/clients/viewer
COPY clients/viewer .
RUN npm ci --no-audit --no-fund --ignore-scripts && npm run build

FROM python:3.12-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /opt/sammoe
# Dependencies first, hashes checked: this layer stays as long as the lock does.
COPY requirements/serve.lock requirements/
RUN /opt/sammoe/bin/pip install --no-deps -r requirements/serve.lock
COPY pyproject.toml README.md LICENSE ./
COPY service service
COPY --from=page /src/service/sammoe/api/viewer/dist service/sammoe/api/viewer/dist
RUN /opt/sammoe/bin/pip install --no-deps .

# Triton as NVIDIA ships it, with its backends for ONNX Runtime, TensorRT and Python. Nothing of ours
# is installed: the selector needs numpy alone, which is there. It trusts everybody who reaches it.
FROM nvcr.io/nvidia/tritonserver:26.07-py3 AS triton
COPY model_repo /models
# The image's own user, triton-server.
USER 1000:1000
EXPOSE 8000 8001 8002
# Else ONNX Runtime tells its maker of its use.
ENV ORT_DISABLE_TELEMETRY=1
# Whether the server answers. It loads nothing by itself: front ends load what their bundle names.
HEALTHCHECK --interval=5s --timeout=4s --start-period=60s \
    CMD ["curl", "-fsS", "http://127.0.0.1:8000/v2/health/ready"]
CMD ["tritonserver", "--model-repository=/models", "--model-control-mode=explicit", \
     "--exit-on-error=false", "--strict-readiness=false", "--exit-timeout-secs=20"]

FROM python:3.12-slim-bookworm AS service
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin sammoe \
    && install -d -o sammoe -g sammoe -m 0700 /var/lib/sammoe
COPY --from=build /opt/sammoe /opt/sammoe
COPY model_repo /opt/sammoe/model_repo
ENV PATH=/opt/sammoe/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    SAMMOE_BUNDLE=/opt/sammoe/model_repo \
    SAMMOE_HOST=0.0.0.0 \
    SAMMOE_LOG_FORMAT=json \
    SAMMOE_STATE=/var/lib/sammoe
USER 10001:10001
VOLUME /var/lib/sammoe
EXPOSE 8000
# Ready: models loaded and warm, and the state volume can be written.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
ENTRYPOINT ["sammoe"]
CMD ["serve"]
