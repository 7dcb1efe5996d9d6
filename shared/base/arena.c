#include "shared/base/arena.h"
