# The image of servers and workers. It has no database: JOBSERVER_MONGO_URI names one.
# docs/how-to/deployment.md says how to use it; `make image-test` carries out each step.

FROM python:3.13-slim AS build
COPY . /src
# requirements.txt pins more than is needed here, so it only limits the versions.
RUN python -m venv /opt/jobserver \
    && /opt/jobserver/bin/pip install --no-cache-dir --constraint /src/requirements.txt \
        "/src[dask,files,plot]"

FROM python:3.13-slim
# tini reaps what others leave, as process 1 has to; bubblewrap isolates code, if it is let.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends bubblewrap tini \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/jobserver /opt/jobserver
ENV PATH=/opt/jobserver/bin:$PATH JOBSERVER_HOME=/srv/jobserver
RUN groupadd --gid 10001 jobserver \
    && useradd --uid 10001 --gid jobserver --no-create-home --home-dir /srv/jobserver jobserver \
    && install --directory --owner=jobserver --group=jobserver --mode=700 /srv/jobserver
# A number: Kubernetes has to see that it is not root.
USER 10001:10001
WORKDIR /srv/jobserver
RUN jobserver init
EXPOSE 5000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["python", "-c", "import http.client as http; c = http.HTTPConnection('127.0.0.1', 5000, timeout=4); c.request('GET', '/health'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["tini", "--", "jobserver"]
CMD ["run", "--host", "0.0.0.0"]
