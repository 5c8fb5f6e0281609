# dnc-gate. `--target gate` is one image for gate, worker and site; `--target pbx` has Asterisk and SIPp for demo calls.
FROM docker.io/library/python:3.13-slim-bookworm AS gate
RUN useradd --system --home-dir /var/lib/dnc-gate dnc && install -d -m 700 -o dnc -g dnc /var/lib/dnc-gate
WORKDIR /opt/dnc-gate
COPY requirements.lock ./
RUN python -m pip install --no-cache-dir --require-hashes -r requirements.lock
COPY compliance compliance
COPY agi_gate agi_gate
COPY admin_web admin_web
COPY dialplan dialplan
# Compile now: the user dnc may not write byte code later.
RUN python -m compileall -q . \
 && printf '#!/bin/sh\nexec python -m agi_gate "$@"\n' > /usr/local/bin/agi-gate \
 && printf '#!/bin/sh\nexec python -m admin_web "$@"\n' > /usr/local/bin/dnc-admin \
 && chmod 755 /usr/local/bin/agi-gate /usr/local/bin/dnc-admin
ENV PYTHONPATH=/opt/dnc-gate PYTHONUNBUFFERED=1 DNC_DATA_DIR=/var/lib/dnc-gate
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
COPY compliance compliance
COPY agi_gate agi_gate
COPY admin_web admin_web
COPY dialplan dialplan
COPY lab lab
RUN /opt/venv/bin/python -m compileall -q . && install -d -m 700 -o asterisk -g asterisk /var/lib/dnc-gate
ENV PATH=/opt/venv/bin:/usr/sbin:/usr/bin:/sbin:/bin PYTHONPATH=/opt/dnc-gate PYTHONUNBUFFERED=1 \
    DNC_DATA_DIR=/var/lib/dnc-gate
USER asterisk
ENTRYPOINT ["python", "-m", "lab.demo_calls"]
