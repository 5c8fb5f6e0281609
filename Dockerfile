# dnc-gate. `--target gate` is one image for gate, worker and site; `--target pbx` has Asterisk and SIPp for demo calls.
FROM docker.io/library/python:3.13-slim-bookworm AS build
WORKDIR /build
COPY requirements-up.lock ./
RUN python -m pip install --no-cache-dir --require-hashes -r requirements-up.lock
COPY pyproject.toml README.md ./
COPY compliance compliance
COPY agi_gate agi_gate
COPY admin_web admin_web
COPY dialplan dialplan
RUN python -m hatchling build -t wheel -d /wheels

FROM docker.io/library/python:3.13-slim-bookworm AS gate
RUN useradd --system --home-dir /var/lib/dnc-gate dnc && install -d -m 700 -o dnc -g dnc /var/lib/dnc-gate
COPY requirements.lock /opt/dnc-gate/
RUN python -m pip install --no-cache-dir --require-hashes -r /opt/dnc-gate/requirements.lock
# The product is installed as a package, because it reads its own version from the package's metadata. pip compiles it
# now: the user dnc may not write byte code later.
COPY --from=build /wheels /opt/dnc-gate/wheels
RUN python -m pip install --no-cache-dir --no-index --no-deps /opt/dnc-gate/wheels/*.whl
WORKDIR /var/lib/dnc-gate
ENV PYTHONUNBUFFERED=1 DNC_DATA_DIR=/var/lib/dnc-gate
USER dnc
CMD ["agi-gate", "serve"]

# Debian forky has Asterisk 22. Asterisk and SIPp run in one container, and their calls use its loopback interface.
FROM docker.io/library/debian:forky-slim AS pbx
RUN apt-get update \
 && apt-get install -y --no-install-recommends asterisk python3 python3-venv sip-tester \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/dnc-gate
COPY requirements.lock ./
RUN python3 -m venv /opt/venv \
 && /opt/venv/bin/python -m pip install --no-cache-dir --require-hashes -r requirements.lock
COPY --from=build /wheels wheels
RUN /opt/venv/bin/python -m pip install --no-cache-dir --no-index --no-deps wheels/*.whl
# The lab is not in the wheel. It reads the dialplan beside itself.
COPY dialplan dialplan
COPY lab lab
RUN /opt/venv/bin/python -m compileall -q lab && install -d -m 700 -o asterisk -g asterisk /var/lib/dnc-gate
ENV PATH=/opt/venv/bin:/usr/sbin:/usr/bin:/sbin:/bin PYTHONPATH=/opt/dnc-gate PYTHONUNBUFFERED=1 \
    DNC_DATA_DIR=/var/lib/dnc-gate
USER asterisk
ENTRYPOINT ["python", "-m", "lab.demo_calls"]
