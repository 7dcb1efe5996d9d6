#include "shared/base/log.h"
