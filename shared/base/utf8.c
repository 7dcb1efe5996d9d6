#include "shared/base/utf8.h"
