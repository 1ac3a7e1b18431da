# The image holds what running needs and nothing else: no test tool, no compiler, no root.
#
#   docker build -t rollcall .
#   docker run -v ./config.toml:/etc/rollcall/config.toml:ro -v rollcall:/data -p 8080:8080 rollcall

FROM python:3.11-slim AS build
WORKDIR /src
COPY requirements.lock ./
# Hashes are checked here, once, and everything below is installed from these files alone.
RUN pip download --no-cache-dir --require-hashes --only-binary :all: --requirement requirements.lock --dest /wheels
COPY pyproject.toml README.md LICENSE ./
COPY bot bot
COPY adapters adapters
COPY storage storage
RUN pip install --no-index --find-links /wheels hatchling && hatchling build --target wheel --directory /wheels
RUN python -m venv /opt/rollcall \
    && /opt/rollcall/bin/pip install --no-cache-dir --no-index --find-links /wheels 'rollcall[postgres]'

FROM python:3.11-slim
RUN useradd --system --home-dir /data --shell /usr/sbin/nologin rollcall && install --directory --owner rollcall /data
COPY --from=build /opt/rollcall /opt/rollcall
# Outside a container the API listens on loopback; in here that would reach nobody.
ENV PATH=/opt/rollcall/bin:$PATH PYTHONUNBUFFERED=1 ROLLCALL_HTTP__HOST=0.0.0.0
USER rollcall
WORKDIR /data
VOLUME /data
EXPOSE 8080
ENTRYPOINT ["rollcall"]
CMD ["run", "--config", "/etc/rollcall/config.toml"]
