# The service on PostgreSQL of one's own (see compose.yaml), or on its embedded one with volumes at /data and /keys.
FROM python:3.13-slim AS wheel
WORKDIR /source
COPY requirements-build.lock ./
RUN python -m pip install --no-cache-dir --require-hashes -r requirements-build.lock
COPY pyproject.toml README.md CHANGELOG.md ./
COPY domain domain
COPY application application
COPY infrastructure infrastructure
RUN python -m pip wheel --no-deps --no-build-isolation --wheel-dir /wheels .

FROM python:3.13-slim
RUN useradd --system --uid 10001 --user-group --home-dir /data offerlog && install -d -m 700 -o 10001 -g 10001 /data /keys
COPY requirements.lock /srv/
RUN python -m pip install --no-cache-dir --require-hashes -r /srv/requirements.lock
COPY --from=wheel /wheels /srv/wheels
RUN python -m pip install --no-cache-dir --no-deps --no-index /srv/wheels/*.whl

USER 10001:10001
WORKDIR /data
ENV OFFERLOG_DATA=/data OFFERLOG_KEYRING=/keys/keyring.json PYTHONDONTWRITEBYTECODE=1
# Name both: a store whose keyring went with its container cannot be opened any more.
VOLUME /data /keys
EXPOSE 8000
# Whether the process lives, not whether it is ready: a restart mends no store that is away.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 CMD \
  ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
CMD ["offerlog", "serve", "--host", "0.0.0.0", "--port", "8000"]
