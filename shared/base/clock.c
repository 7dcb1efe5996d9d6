#include "shared/base/clock.h"
