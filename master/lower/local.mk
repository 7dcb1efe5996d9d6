noinst_LIBRARIES += liblower.a
liblower_a_SOURCES = \
	%D%/backend.c \
	%D%/condition.c %D%/condition.h \
	%D%/istio.h %D%/istio_state.def \
	%D%/istio_backend.c %D%/istio_gateway.c %D%/istio_match.c \
	%D%/istio_rule.c %D%/istio_status.c %D%/istio_vs.c \
	%D%/lower.c %D%/lower.h \
	%D%/merge.c \
	%D%/precedence.c
