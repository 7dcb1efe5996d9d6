include etc/systemd/local.mk
EXTRA_DIST += %D%/gatehouse.yaml
