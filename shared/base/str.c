#include "shared/base/str.h"
