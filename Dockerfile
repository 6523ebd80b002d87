# The worker, the gateway, the codec server and the command line; which of them is the command's choice. Each has a
# health check of its own where it is deployed, so the image has none.
FROM python:3.11.15-slim-bookworm AS build
WORKDIR /src
# No pip in it: nothing is installed once the image is made.
RUN python -m venv --without-pip /opt/transfer
COPY requirements-runtime.lock ./
# Who installs through a mirror hands pip's settings in, and its certificate: --secret id=pip.conf,src=…
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca.crt \
    pip --python /opt/transfer/bin/python install --no-cache-dir --require-hashes --no-deps -r requirements-runtime.lock
COPY pyproject.toml worker.py starter.py ./
COPY transfer ./transfer
COPY gateway ./gateway
COPY workflows ./workflows
COPY activities ./activities
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca.crt \
    pip --python /opt/transfer/bin/python install --no-cache-dir --no-deps .

FROM python:3.11.15-slim-bookworm
# By number, since Kubernetes cannot tell from a name that it is not root.
RUN groupadd --system --gid 10001 transfer && useradd --system --uid 10001 --gid 10001 --create-home transfer
COPY --from=build /opt/transfer /opt/transfer
# Its files may be read-only: bytecode was written at the build, and nothing else is written but the logs on stdout.
ENV PATH=/opt/transfer/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /home/transfer
USER 10001:10001
CMD ["python", "-m", "worker"]
