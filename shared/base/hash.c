#include "shared/base/hash.h"
