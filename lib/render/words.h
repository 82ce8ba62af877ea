/*
 * The words that the view of a statement brings along: messages of the
 * catalogues (*.properties in the folder of templates) that code fills in.
 * What the templates say themselves they ask for with {{t.KEY}}.
 *
 * Each row: the name in code, the key in the catalogue, and the values that
 * the message may use, {{date}}.
 */
#ifndef FP_RENDER_WORDS_H
#define FP_RENDER_WORDS_H

#define WORDS(X)                                                                                             \
    X(UP, "up", "")                                                                                          \
    X(DOWN, "down", "")                                                                                      \
    X(UNCHANGED, "unchanged", "")                                                                            \
    X(BRIDGE_VALUE, "bridge.value", "date")                                                                  \
    X(BRIDGE_CONTRIBUTIONS, "bridge.contributions", "")                                                      \
    X(BRIDGE_GAIN, "bridge.gain", "")                                                                        \
    X(BRIDGE_REALISED, "bridge.realised", "")                                                                \
    X(BRIDGE_UNREALISED, "bridge.unrealised", "")                                                            \
    X(BRIDGE_INCOME, "bridge.income", "")                                                                    \
    X(BRIDGE_FEES, "bridge.fees", "")                                                                        \
    X(BRIDGE_TAXES, "bridge.taxes", "")                                                                      \
    X(BRIDGE_CURRENCY, "bridge.currency", "")                                                                \
    X(DETAIL_INCOME, "detail.income", "")                                                                    \
    X(DETAIL_DIVIDENDS, "detail.dividends", "")                                                              \
    X(DETAIL_INTEREST, "detail.interest", "")                                                                \
    X(DETAIL_FEES, "detail.fees", "")                                                                        \
    X(DETAIL_TAXES, "detail.taxes", "")                                                                      \
    X(DETAIL_WITHHELD, "detail.withheld", "")                                                                \
    X(DETAIL_FIFO, "detail.realised_fifo", "")                                                               \
    X(DETAIL_AVERAGE, "detail.realised_average", "")                                                         \
    X(SPAN_PERIOD, "span.period", "")                                                                        \
    X(SPAN_YEAR, "span.year", "")                                                                            \
    X(SPAN_INCEPTION, "span.inception", "")                                                                  \
    X(SPAN_SINCE, "span.since", "date")                                                                      \
    X(RETURN_TWR, "return.twr", "")                                                                          \
    X(RETURN_MWR, "return.mwr", "")                                                                          \
    X(ANNUAL, "annual", "rate")                                                                              \
    X(RISK_FALL, "risk.fall", "from to")                                                                     \
    X(MOVERS_TOP, "movers.top", "")                                                                          \
    X(MOVERS_BOTTOM, "movers.bottom", "")                                                                    \
    X(INSTRUMENT, "instrument", "id")                                                                        \
    X(SHARES_CLASS, "allocation.class", "")                                                                  \
    X(SHARES_CURRENCY, "allocation.currency", "")                                                            \
    X(CLASS_EQUITY, "class.equity", "")                                                                      \
    X(CLASS_FUND, "class.fund", "")                                                                          \
    X(CLASS_BOND, "class.bond", "")                                                                          \
    X(CLASS_CASH, "class.cash", "")                                                                          \
    X(CLASS_COMMODITY, "class.commodity", "")                                                                \
    X(CLASS_CRYPTO, "class.crypto", "")                                                                      \
    X(CLASS_PROPERTY, "class.property", "")                                                                  \
    X(CLASS_DERIVATIVE, "class.derivative", "")                                                              \
    X(CLASS_OTHER, "class.other", "")                                                                        \
    X(CHART_SUMMARY, "chart.summary", "first first_date last last_date low low_date high high_date")         \
    X(EVENT_SPLIT, "event.split", "name numerator denominator date")                                         \
    X(EVENT_DIVIDEND, "event.dividend", "name amount date")                                                  \
    X(EVENT_STALE, "event.stale", "name date")                                                               \
    X(EVENT_NOT_PRICED, "event.not_priced", "name")                                                          \
    X(EVENT_SUSPECTED_SPLIT, "event.suspected_split", "name date")                                           \
    X(EVENT_SUSPECT_PRICE, "event.suspect_price", "name date")                                               \
    X(REMARK_STALE_PRICE, "remark.stale_price", "")                                                          \
    X(REMARK_PRICE_AFTER, "remark.price_after", "")                                                          \
    X(REMARK_NOT_PRICED, "remark.not_priced", "")                                                            \
    X(REMARK_NO_CAPITAL, "remark.no_capital", "")                                                            \
    X(REMARK_NEGATIVE_VALUE, "remark.negative_value", "")                                                    \
    X(REMARK_OPENED, "remark.opened", "")                                                                    \
    X(REMARK_SUSPECT_DAY, "remark.suspect_day", "")                                                          \
    X(REMARK_SUSPECT_BEFORE, "remark.suspect_before", "")                                                    \
    X(REMARK_SHORT_POSITION, "remark.short_position", "")                                                    \
    X(REMARK_SUSPECTED_SPLIT, "remark.suspected_split", "")                                                  \
    X(REMARK_SUSPECT_PRICE, "remark.suspect_price", "")                                                      \
    X(REMARK_IN_TRANSIT, "remark.in_transit", "")                                                            \
    X(REMARK_SEVERAL_ROOTS, "remark.several_roots", "")

/* With a form for each plural category of the language: "holdings.one". */
#define PLURALS(X)                                                                                           \
    X(HOLDINGS, "holdings", "n")                                                                             \
    X(MORE_EVENTS, "event.more", "n")

enum word {
#define X(name, key, values) WORD_##name,
    WORDS(X)
#undef X
        WORD_COUNT
};

enum plural_word {
#define X(name, key, values) PLURAL_##name,
    PLURALS(X)
#undef X
        PLURAL_COUNT
};

#endif
