# JupyterLab on this study, with the environment that README's commands set up.
#   docker build -t gcl . && docker run --rm -p 8888:8888 -v "$PWD/runs:/study/runs" -v "$PWD/figures:/study/figures" gcl
FROM python:3.12-slim
# no versions: Debian keeps no old ones
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends chromium git \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /study
COPY requirements.txt ./
RUN pip install --no-cache-dir -r requirements.txt
COPY . .
# run_all.sh takes the active environment that has the requirements: here Python's own folder
ENV PYTHONPATH=/study VIRTUAL_ENV=/usr/local
EXPOSE 8888
CMD ["jupyter", "lab", "--allow-root", "--ip=0.0.0.0", "--no-browser", "notebooks"]
