/* A page of HTML as a PNG, by a Chromium without a window. */
#ifndef FP_CLI_PICTURE_H
#define FP_CLI_PICTURE_H

#include <stdbool.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

struct picture {
    const char *browser; /* a path or a name; "": the first that PATH has */
    const char *path;    /* of the PNG: replaced when it is there, its owner's alone */
    int width_px;
    bool dark;
};

/* As high as the page is. UNAVAILABLE without a browser, or when it fails. */
int picture_make(const struct picture *p, const struct fp_str *html, struct fp_err *err) FP_MUST_CHECK;

#endif
