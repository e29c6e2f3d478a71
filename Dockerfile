# An image with the suite and everything it needs:
#   docker build -t osrl-bench .                              for CPUs
#   docker build -t osrl-bench --build-arg DEVICE=cuda .      for NVIDIA GPUs
#   docker run --rm -v "$PWD/results:/osrl-bench/results" osrl-bench run --suite tight --dry-run
# With a GPU add `--gpus all`. CUDA comes with torch's packages, so that the same base serves both.
FROM python:3.11-slim-bookworm

# make runs the targets; g++ serves --compile; libgl and libglib serve the simulators' renderers.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends make g++ git libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /osrl-bench
# The packages come first: they are installed again only if what they follow from changes.
COPY Makefile pyproject.toml README.md LICENSE ./
COPY requirements requirements
COPY gas gas
COPY baselines baselines
COPY benchmarks benchmarks
COPY results/published results/published

# cpu: torch's own index of CPU builds, some GB smaller. cuda: the default index.
ARG DEVICE=cpu
RUN case "$DEVICE" in \
        cpu) export PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu ;; \
        cuda) ;; \
        *) echo "DEVICE must be cpu or cuda, not $DEVICE" >&2; exit 2 ;; \
    esac \
    && PIP_NO_CACHE_DIR=1 make setup \
    && if [ "$DEVICE" = cuda ]; then .venv/bin/pip install --no-cache-dir -e '.[gpu]'; fi

COPY . .
ENV PATH="/osrl-bench/.venv/bin:$PATH" OSRL_BENCH_CACHE=/osrl-bench/results/cache
ENTRYPOINT ["osrl-bench"]
CMD ["--help"]
