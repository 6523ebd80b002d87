FROM python:3.11.15-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/transfer
COPY requirements-runtime.lock ./
RUN /opt/transfer/bin/pip install --no-cache-dir --require-hashes --no-deps -r requirements-runtime.lock
COPY pyproject.toml worker.py starter.py ./
COPY transfer ./transfer
COPY gateway ./gateway
COPY workflows ./workflows
COPY activities ./activities
RUN /opt/transfer/bin/pip install --no-cache-dir --no-deps .

FROM python:3.11.15-slim-bookworm
RUN useradd --system --uid 10001 --create-home transfer
COPY --from=build /opt/transfer /opt/transfer
ENV PATH=/opt/transfer/bin:$PATH PYTHONUNBUFFERED=1
WORKDIR /home/transfer
USER 10001
# Asks Temporal, the database and the mail server, as an operator would.
HEALTHCHECK --interval=1m --timeout=20s --start-period=30s CMD ["transfer", "doctor", "--json"]
CMD ["python", "-m", "worker"]
