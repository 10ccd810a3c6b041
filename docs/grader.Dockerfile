# Where `course grade` runs on a machine that has no sandbox; README says how.
FROM debian:bookworm
RUN apt-get update \
 && apt-get install -y --no-install-recommends bubblewrap ca-certificates git make python3-venv \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 1000 teacher
USER teacher
WORKDIR /course
CMD ["bash"]
