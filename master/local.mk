include master/yaml/local.mk
include master/kinds/local.mk
include master/store/local.mk
include master/model/local.mk
include master/lower/local.mk
include master/compile/local.mk
include master/ctl/local.mk
