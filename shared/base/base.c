#include "shared/base/base.h"
