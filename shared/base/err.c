#include "shared/base/err.h"
