# The service on PostgreSQL of one's own (see compose.yaml), or on its embedded one with a volume at /data.
FROM python:3.13-slim

RUN useradd --system --home-dir /data offerlog && install -d -o offerlog /data
WORKDIR /srv
COPY requirements.lock pyproject.toml README.md CHANGELOG.md ./
RUN python -m pip install --no-cache-dir --require-hashes -r requirements.lock
COPY domain domain
COPY application application
COPY infrastructure infrastructure
RUN python -m pip install --no-cache-dir --no-deps --no-build-isolation .

USER offerlog
ENV OFFERLOG_DATA=/data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s CMD \
  ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz')"]
CMD ["offerlog", "serve", "--host", "0.0.0.0", "--port", "8000"]
