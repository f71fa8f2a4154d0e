# Everything that the demo needs, on any machine that runs containers:
#   docker build -t backprompt .
#   docker run --rm -v "$PWD/lake:/lake" backprompt
FROM debian:bookworm-slim

ENV LANG=C.UTF-8 \
    PATH=/opt/venv/bin:$PATH \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        openjdk-17-jre-headless \
        python3 \
        python3-venv \
        apertium-en-gl \
        apertium-eng-cat \
        apertium-eng-spa \
        apertium-eo-en \
        apertium-es-pt \
        apertium-fra-cat \
        apertium-spa-ita \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/venv

WORKDIR /app
COPY . .

# Editable, so that recipes, prompts and the demo's documents are those in /app. The first Spark session fetches Delta
# Lake's jar; started here, it is in the image and a run needs no network.
RUN pip install -c constraints.txt -e . \
    && python -c "from jobs.runtime.session import get_session; get_session().stop()"

VOLUME /lake
CMD ["backprompt", "run", "--recipe", "conf/demo.yaml", "--lake", "/lake"]
