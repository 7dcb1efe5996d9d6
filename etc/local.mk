EXTRA_DIST += %D%/gatehouse.yaml
