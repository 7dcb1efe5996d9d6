#include "shared/http/token.h"

/* The classes as predicates over constants; the compiler folds them into the table. */
#define ALPHA(c)      (((c) >= 'a' && (c) <= 'z') || ((c) >= 'A' && (c) <= 'Z'))
#define DIGIT(c)      ((c) >= '0' && (c) <= '9')
#define HEX(c)        (DIGIT(c) || ((c) >= 'a' && (c) <= 'f') || ((c) >= 'A' && (c) <= 'F'))
#define VCHAR(c)      ((c) > 0x20 && (c) < 0x7f)
#define UNRESERVED(c) (ALPHA(c) || DIGIT(c) || (c) == '-' || (c) == '.' || (c) == '_' || (c) == '~')
#define TCHAR(c)                                                                                   \
    (ALPHA(c) || DIGIT(c) || (c) == '!' || (c) == '#' || (c) == '$' || (c) == '%' || (c) == '&' || \
     (c) == '\'' || (c) == '*' || (c) == '+' || (c) == '-' || (c) == '.' || (c) == '^' ||          \
     (c) == '_' || (c) == '`' || (c) == '|' || (c) == '~')
#define VALUE(c)  ((c) == '\t' || ((c) >= 0x20 && (c) != 0x7f))
#define TARGET(c) (VCHAR(c) && (c) != '#')
#define PATH(c)                                                                                    \
    (UNRESERVED(c) || (c) == '!' || (c) == '$' || (c) == '&' || (c) == '\'' || (c) == '(' ||       \
     (c) == ')' || (c) == '*' || (c) == '+' || (c) == ',' || (c) == '=' || (c) == ':' ||           \
     (c) == '@')
#define HOST(c)   (ALPHA(c) || DIGIT(c) || (c) == '-' || (c) == '_' || (c) == '.')
#define QDTEXT(c) (VALUE(c) && (c) != '"' && (c) != '\\')

#define CLASS(c)                                                                                   \
    ((TCHAR(c) ? TOKEN_TCHAR : 0) | (VALUE(c) ? TOKEN_VALUE : 0) |                                 \
     (TARGET(c) ? TOKEN_TARGET : 0) | (UNRESERVED(c) ? TOKEN_UNRESERVED : 0) |                     \
     (PATH(c) ? TOKEN_PATH : 0) | (HOST(c) ? TOKEN_HOST : 0) | (HEX(c) ? TOKEN_HEX : 0) |          \
     (QDTEXT(c) ? TOKEN_QDTEXT : 0))
#define ROW4(c)  CLASS(c), CLASS((c) + 1), CLASS((c) + 2), CLASS((c) + 3)
#define ROW16(c) ROW4(c), ROW4((c) + 4), ROW4((c) + 8), ROW4((c) + 12)
#define ROW64(c) ROW16(c), ROW16((c) + 16), ROW16((c) + 32), ROW16((c) + 48)

const unsigned char token_class[256] = {ROW64(0), ROW64(64), ROW64(128), ROW64(192)};

bool token_all(struct str s, int class)
{
    const unsigned char *p = (const unsigned char *)s.p;
    unsigned common = (unsigned)class;
    size_t i = 0;
    for (; s.n - i >= 4; i += 4)
        common &= token_class[p[i]] & token_class[p[i + 1]] & token_class[p[i + 2]] & token_class[p[i + 3]];
    for (; i < s.n; i++)
        common &= token_class[p[i]];
    return common != 0;
}
