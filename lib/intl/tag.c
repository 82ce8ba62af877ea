/*
 * Names of locales: what users' rows hold, and what it means to ICU and to
 * the catalogues. Only language, script and region count; the rest of a BCP 47
 * tag (calendars, digits) would let a user's row choose what ICU loads.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unicode/uenum.h>
#include <unicode/uloc.h>
#include <unicode/upluralrules.h>

#include "lib/intl/intl.h"

const char *const intl_plural_names[INTL_PLURALS] = {"zero", "one", "two", "few", "many", "other"};

static size_t subtag(const char *p, bool *letters, bool *digits)
{
    size_t n = 0;
    *letters = *digits = true;
    for (; isalnum((unsigned char)p[n]) && (signed char)p[n] > 0; n++) {
        *letters = *letters && !isdigit((unsigned char)p[n]);
        *digits = *digits && isdigit((unsigned char)p[n]);
    }
    return n;
}

static char *append(char *out, const char *p, size_t n, bool upper, bool title)
{
    for (size_t i = 0; i < n; i++)
        *out++ =
            (char)(upper || (title && i == 0) ? toupper((unsigned char)p[i]) : tolower((unsigned char)p[i]));
    *out = 0;
    return out;
}

bool intl_tag(const char *locale, char out[INTL_TAG_BYTES])
{
    bool letters, digits, script = false;
    size_t n = subtag(locale, &letters, &digits);
    out[0] = 0;
    if (n < 2 || n > 3 || !letters)
        return false;
    char *o = append(out, locale, n, false, false);
    for (const char *p = locale + n; *p == '-' || *p == '_'; p += n) {
        n = subtag(++p, &letters, &digits);
        bool region = (n == 2 && letters) || (n == 3 && digits);
        if (!region && !(n == 4 && letters && !script))
            break;
        *o++ = '-';
        o = append(o, p, n, region, !region);
        script = true;
        if (region)
            break;
    }
    return true;
}

bool intl_parent(char tag[INTL_TAG_BYTES])
{
    char *dash = strrchr(tag, '-');
    if (!dash)
        return false;
    *dash = 0;
    return true;
}

bool intl_is_right_to_left(const char *tag)
{
    return uloc_isRightToLeft(tag);
}

unsigned intl_plural_set(const char *tag)
{
    UErrorCode e = U_ZERO_ERROR;
    UPluralRules *rules = uplrules_open(tag, &e);
    UEnumeration *names = uplrules_getKeywords(rules, &e);
    unsigned set = 1u << INTL_OTHER;
    for (const char *name; U_SUCCESS(e) && (name = uenum_next(names, NULL, &e)) != NULL;)
        for (int i = 0; i < INTL_PLURALS; i++)
            if (strcmp(name, intl_plural_names[i]) == 0)
                set |= 1u << i;
    uenum_close(names);
    uplrules_close(rules);
    return set;
}
