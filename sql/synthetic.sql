-- Synthetic data in the shape of sql/portfolio.sql, made inside the database.
--
-- lib/source/synthetic.c runs this file step by step after portfolio.sql. A
-- step begins with "-- step: NAME" and is one transaction; one that begins
-- with "-- step: NAME each N" is a single statement, run for ranges $1 to $2
-- of N user ids, which is how progress is shown and memory is bounded. The
-- same seed, number of users and last day give the same rows: everything is
-- drawn from a hash of (seed, id, purpose), nothing from random() or the clock.
-- What is named synthetic_* here is dropped at the end; the table
-- portfolio.synthetic stays and says that this schema is ours to replace.
--
-- What is made
--   Users over 60 months, more in the later ones. The first hundredth came in
--   one migration: the same created_at to the microsecond; ten in a thousand
--   are imports of ten at once. Two in a hundred opted out of monthly.
--   500 instruments with a close on each weekday of 62 months by a random walk,
--   in EUR (250), USD (150), GBP (75) and JPY (25); rates of all pairs of these;
--   20 splits, at which the close as traded falls (or rises) by the ratio.
--   Each user has a cash and a custody account in his base currency, a fifth
--   of them a second pair in another currency, filled by a deposit or by a
--   transfer from the first at the day's rate. Every transaction is in the
--   currency of its account, and so is its instrument: cash is one balance for
--   each currency, and no trade needs a rate.
--   A pair starts with a deposit, of which positions take 70 %, the second
--   pair 20 %, and fees and a withdrawal less than the rest; sales, dividends
--   and interest only add. So no prefix of a history has negative cash, and
--   none sells what it does not hold. Trades are at the close of their day.
--   amount = -round(quantity * price) - fee - tax for a buy, and
--   +round(quantity * price) - fee - tax for a sale, rounded to the currency's
--   decimals. A dividend has quantity 0; fee and interest are in amount alone.
--
-- Users that go wrong, by id % 1000: one in a thousand of each kind
--   1  base currency XXX               9  NaN as price and amount
--   2  an instrument without price    10  an address without @
--   3  negative quantity              11  a deposit in CHF, without rates
--   4  absurd quantity                12  a purchase on day -infinity
--   5  sale without a purchase        13  unknown type of transaction
--   6  instrument that is not there   14  base currency in small letters
--   7  CR/LF in the address           15  an address of 300 letters
--   8  no address                     16  sale of more than is held
-- Users with hostile names, but whole data: id % 1000 from 20 to 31.
--
-- Users whose data is right and out of the ordinary, by id % 1000; nothing else
-- of theirs is made. All in EUR; what happens, happens in the last whole month:
--  40  shares move to a second custody   45  a price that has stood for weeks
--      account, and some are sold there  46  a price that halves: a split nobody told?
--  41  a short sale, bought back         47  opened in that month
--  42  delivered in, all delivered out,  48  held over a split on file
--      and in again                      49  interest charged, tax and fee, some
--  43  deposited and all withdrawn           of each given back
--  44  an overdraft, then a deposit          50  a close that is 7.5 times the one before
--  52  shares booked in before they are      51  closes in pence among others in pounds
--      booked out, a month end between       53  the same, and not booked out by the month's end
-- Instrument 504 is an index in EUR, for a benchmark.

-- step: functions
DO $$ BEGIN
    -- A number in [0, 1) that depends on seed, key and purpose only.
    EXECUTE format('CREATE FUNCTION portfolio.synthetic_unit(key bigint, purpose integer) RETURNS float8
        LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
        (hashint8extended(key * 16384 + purpose, %s) & 4503599627370495)::float8 / 4503599627370496.0::float8',
        (SELECT seed FROM portfolio.synthetic));
END $$;
CREATE FUNCTION portfolio.synthetic_pick(key bigint, purpose integer, n bigint) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN floor(portfolio.synthetic_unit(key, purpose) * n)::integer;
-- The day itself, or the Monday after a weekend.
CREATE FUNCTION portfolio.synthetic_weekday(day date) RETURNS date
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    day + CASE extract(isodow FROM day) WHEN 6 THEN 2 WHEN 7 THEN 1 ELSE 0 END;
-- The last day of the last whole month, of which a monthly report would be.
CREATE FUNCTION portfolio.synthetic_month_end(last_day date) RETURNS date
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN date_trunc('month', (last_day + 1)::timestamp)::date - 1;
-- The new shares that one old share became by a split between two days.
CREATE FUNCTION portfolio.synthetic_factor(split_day date, ratio numeric, held_from date, held_to date) RETURNS numeric
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    CASE WHEN split_day > held_from AND split_day <= held_to THEN ratio ELSE 1 END;

CREATE FUNCTION portfolio.synthetic_has_second(user_id bigint) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN portfolio.synthetic_unit(user_id, 35) < 0.2;
-- Of the first or second pair of accounts.
CREATE FUNCTION portfolio.synthetic_currency(user_id bigint, base_currency text, pair integer) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    CASE WHEN pair = 1 THEN CASE WHEN base_currency IN ('USD', 'GBP', 'JPY') THEN base_currency ELSE 'EUR' END
         WHEN base_currency IN ('USD', 'GBP', 'JPY') THEN 'EUR'
         ELSE (ARRAY['USD', 'GBP', 'JPY'])[1 + portfolio.synthetic_pick(user_id, 36, 3)] END;

-- step: names
CREATE UNLOGGED TABLE portfolio.synthetic_people AS
SELECT row_number() OVER (ORDER BY p.locale, n)::integer - 1 AS no, p.locale, p.time_zone, p.currency,
       string_to_array(p.firsts, ' ') AS firsts, string_to_array(p.lasts, ' ') AS lasts
FROM (VALUES
    (14, 'en-US', 'America/New_York', 'USD', 'James Mary Robert Patricia Michael Jennifer David Linda Beyoncé Zoë',
     'Smith Johnson Williams Brown Jones García Miller Davis O’Neill O''Brien'),
    (12, 'en-GB', 'Europe/London', 'GBP', 'Oliver Amelia George Isla Harry Ava Siân Niamh Callum Fiona',
     'Taylor Davies Evans Thomas Johnson Roberts Walker Wright MacLeod D''Arcy'),
    (16, 'de-DE', 'Europe/Berlin', 'EUR', 'Jürgen Käthe Björn Jörg Anneliese Günther Sören Heike Ümit Lena',
     'Müller Groß Schäfer Köhler Weiß Böhm Schröder Jäger Großmann Yıldız'),
    (10, 'fr-FR', 'Europe/Paris', 'EUR', 'François Chloé Éloïse Jérôme Gaëlle Benoît Noémie Maël Thérèse Loïc',
     'Lefèvre Bérenger Dùpré L’Hôpital Façon Müntz Châtelain Noël Étienne Benoît'),
    (8, 'es-ES', 'Europe/Madrid', 'EUR', 'José María Ángel Íñigo Begoña Óscar Lucía Núria Xavier Martí',
     'Núñez Ibáñez Peña Güell Muñoz Gómez Martínez Iñárritu Castañeda Sáez'),
    (4, 'pl-PL', 'Europe/Warsaw', 'EUR', 'Łukasz Żaneta Stanisław Małgorzata Grażyna Zdzisław Świętosława Jędrzej',
     'Wójcik Kowalczyk Wiśniewska Dąbrowski Łęcki Źrebiec Śliwa Żółć'),
    (3, 'cs-CZ', 'Europe/Prague', 'EUR', 'Jiří Dvořák Bedřich Božena Šárka Ondřej Žofie Tomáš', 'Novák Dvořáček Černý Růžička Šťastný Kučera Žižka'),
    (3, 'sv-SE', 'Europe/Stockholm', 'EUR', 'Åsa Göran Märta Björn Østen Ævar Håkan', 'Sjöström Åkesson Lindqvist Ångström Öberg Nordström'),
    (2, 'tr-TR', 'Europe/Istanbul', 'USD', 'İbrahim Işıl Ömer Çağla Gülşen Şükrü', 'Yılmaz Çelik Öztürk Şahin Kılıç Aydın'),
    (2, 'vi-VN', 'Asia/Ho_Chi_Minh', 'USD', 'Nguyễn Phương Đức Thảo Hương Tuấn', 'Trần Lê Phạm Hoàng Đặng Bùi'),
    (5, 'el-GR', 'Europe/Athens', 'EUR', 'Γιώργος Ελένη Κώστας Μαρία Νίκος Σοφία Δημήτρης Αικατερίνη',
     'Παπαδόπουλος Βλάχος Οικονόμου Αγγελοπούλου Νικολαΐδης Ζαχαρίου'),
    (4, 'bg-BG', 'Europe/Sofia', 'EUR', 'Георги Мария Иван Елена Николай Цветелина', 'Иванов Петрова Димитров Христова Йорданов Щерев'),
    (3, 'uk-UA', 'Europe/Kyiv', 'EUR', 'Олександр Ганна Їжак Євген Соломія Дмитро', 'Шевченко Ковальчук Бойко Мельник Ґалаґан'),
    (3, 'ar-EG', 'Africa/Cairo', 'USD', 'محمد فاطمة أحمد مريم يوسف خديجة', 'السيد حسن عبدالله إبراهيم المصري'),
    (2, 'he-IL', 'Asia/Jerusalem', 'USD', 'דוד שרה יוסף רחל נועם תמר', 'כהן לוי מזרחי פרץ ביטון'),
    (3, 'zh-CN', 'Asia/Shanghai', 'USD', '伟 芳 娜 敏 静 秀英 丽 强', '王 李 张 刘 陈 杨 黄 欧阳'),
    (3, 'ja-JP', 'Asia/Tokyo', 'JPY', '翔太 さくら 健太 美咲 大輔 陽子', '佐藤 鈴木 高橋 田中 渡辺 齋藤'),
    (2, 'ko-KR', 'Asia/Seoul', 'USD', '민준 서연 도윤 지우 하준 수빈', '김 이 박 최 정 남궁'),
    (1, 'hi-IN', 'Asia/Kolkata', 'USD', 'आरव प्रिया विवान अनन्या कृष्ण', 'शर्मा वर्मा गुप्ता सिंह त्रिपाठी')
) AS p(share, locale, time_zone, currency, firsts, lasts), generate_series(1, p.share) AS n;

CREATE UNLOGGED TABLE portfolio.synthetic_hostile (kind integer PRIMARY KEY, first_name text, last_name text);
INSERT INTO portfolio.synthetic_hostile VALUES
    (20, '"Quoted" ''Single''', 'O''Hara; DROP TABLE users;--'),
    (21, E'Line\r\nBcc: victim@example.com', E'Feed\r\n\r\nbody'),
    (22, '<script>alert(1)</script>', '<b>bold</b> & <img src=x onerror=y>'),
    (23, repeat('Very', 100), repeat('Long-', 2000)),
    (24, '👩‍👩‍👧‍👦', '🏴󠁧󠁢󠁥󠁮󠁧󠁿 🇪🇺 💸'),
    (25, '%s%n%d', '%1$s ${HOME} $(id)'),
    (26, '{{first_name}}', '{{{x}}} {{#a}}{{/b}} {{> partial}}'),
    (27, E'\u202Eesrever', E'zero\u200Bwidth\uFEFF'),
    (28, E'tab\there', E'bell\x07 escape\x1B[31m'),
    (29, '', ''),
    (30, '=?utf-8?Q?encoded?=', '\\ backslash \u0041 &amp;'),
    (31, E'e\u0301\u0301\u0301\u0301\u0301\u0301', '   spaces   ');

-- step: instruments
INSERT INTO portfolio.instruments (id, symbol, name, currency, asset_class)
SELECT i,
       chr(65 + i % 26) || chr(65 + i / 26 % 26) || to_char(i, 'FM000'),
       (ARRAY['Aurora', 'Borealis', 'Cobalt', 'Delta', 'Élan', 'Fjord', 'Großbank', 'Helix', 'Ítaca', 'Juno', 'Kestrel',
              'Lumen', 'Meridian', 'Norðurljós', 'Öresund', 'Polaris', 'Quartz', 'Rhône', 'Sirius', 'Tundra'])[1 + i % 20]
           || ' ' || (ARRAY['Energy', 'Health & Care', 'Software', 'Bonds', 'Index ETF', 'Foods', 'Mining'])[1 + i % 7]
           || ' ' || i,
       CASE WHEN i % 20 < 10 THEN 'EUR' WHEN i % 20 < 16 THEN 'USD' WHEN i % 20 < 19 THEN 'GBP' ELSE 'JPY' END,
       (ARRAY['equity', 'equity', 'equity', 'bond', 'fund', 'equity', 'commodity'])[1 + i % 7]
FROM generate_series(1, 500) AS i;
-- Without any price, for users of kind 2; and one for those in francs.
INSERT INTO portfolio.instruments VALUES
    (501, 'NOPRICE', 'Never Quoted Ltd', 'EUR', 'equity'),
    (502, 'STALE', 'Seldom Quoted AG', 'EUR', 'equity'),    -- as 1, but not for 40 days
    (503, 'HALVED', 'Quietly Split SA', 'EUR', 'equity'),   -- as 1, but half of it for 15 days
    (505, 'TYPO', 'Wrongly Typed NV', 'EUR', 'equity'),     -- as 1, but 7.5 times it on one day
    (506, 'PENCE', 'Hundredfold plc', 'EUR', 'equity'),     -- as 1, but a hundred times it on some days
    (504, 'INDEX', 'Europe Total Return', 'EUR', 'index');  -- the mean of some

INSERT INTO portfolio.splits (instrument_id, day, numerator, denominator)
SELECT i, portfolio.synthetic_weekday(s.first_day + 300 + portfolio.synthetic_pick(i, 1, s.last_day - s.first_day - 320)),
       r.numerator, r.denominator
FROM portfolio.synthetic AS s, generate_series(7, 500, 25) AS i
JOIN (VALUES (0, 2, 1), (1, 3, 1), (2, 4, 1), (3, 10, 1), (4, 3, 2), (5, 1, 10)) AS r(no, numerator, denominator)
    ON r.no = i / 25 % 6;

-- What a trade needs to know of an instrument, by its number within its currency.
CREATE UNLOGGED TABLE portfolio.synthetic_listed AS
SELECT i.id, i.currency, row_number() OVER w - 1 AS no, count(*) OVER (PARTITION BY i.currency) AS listed,
       CASE i.currency WHEN 'JPY' THEN 0 ELSE 2 END AS decimals,
       CASE WHEN i.id % 3 = 0 THEN i.id % 12 + 1 END AS pays_in_month,
       s.day AS split_day, s.numerator::numeric / s.denominator AS split_ratio
FROM portfolio.instruments AS i LEFT JOIN portfolio.splits AS s ON s.instrument_id = i.id
WHERE i.id <= 500
WINDOW w AS (PARTITION BY i.currency ORDER BY i.id);

-- step: prices
INSERT INTO portfolio.prices (instrument_id, day, close, recorded_at)
SELECT id, day, greatest(0.01, round((start * exp(sum(step) OVER (PARTITION BY id ORDER BY day)))::numeric
                                     / CASE WHEN day >= split_day THEN split_ratio ELSE 1 END, decimals)),
       day::timestamp AT TIME ZONE 'UTC' + interval '22 hours'
FROM (SELECT l.id, d::date AS day, l.split_day, l.split_ratio, l.decimals,
             (20 + 180 * portfolio.synthetic_unit(l.id, 2)) * CASE l.currency WHEN 'JPY' THEN 150 ELSE 1 END AS start,
             -- four uniform numbers, less their mean and scaled to variance 1, are near enough to a normal one
             0.0002 + (0.004 + 0.012 * portfolio.synthetic_unit(l.id, 3)) * sqrt(3.0)
                 * (portfolio.synthetic_unit(l.id, n * 4) + portfolio.synthetic_unit(l.id, n * 4 + 1)
                    + portfolio.synthetic_unit(l.id, n * 4 + 2) + portfolio.synthetic_unit(l.id, n * 4 + 3) - 2) AS step
      FROM portfolio.synthetic AS s, portfolio.synthetic_listed AS l,
           LATERAL (SELECT d, (1000 + (d::date - s.first_day)) AS n
                    FROM generate_series(s.first_day::timestamp, s.last_day, interval '1 day') AS d
                    WHERE extract(isodow FROM d) < 6) AS days) AS walk
ORDER BY id, day;

INSERT INTO portfolio.prices (instrument_id, day, close, recorded_at)
SELECT 502, p.day, p.close, p.recorded_at
FROM portfolio.synthetic AS s JOIN portfolio.prices AS p ON p.instrument_id = 1 AND p.day < portfolio.synthetic_month_end(s.last_day) - 40
UNION ALL
SELECT 503, p.day, CASE WHEN p.day >= portfolio.synthetic_month_end(s.last_day) - 15 THEN round(p.close / 2, 2) ELSE p.close END, p.recorded_at
FROM portfolio.synthetic AS s JOIN portfolio.prices AS p ON p.instrument_id = 1
UNION ALL
SELECT 505, p.day, CASE WHEN p.day = portfolio.synthetic_weekday(portfolio.synthetic_month_end(s.last_day) - 12) THEN round(p.close * 7.5, 2)
                        ELSE p.close END, p.recorded_at
FROM portfolio.synthetic AS s JOIN portfolio.prices AS p ON p.instrument_id = 1
UNION ALL
SELECT 506, p.day, CASE WHEN p.day BETWEEN portfolio.synthetic_month_end(s.last_day) - 12 AND portfolio.synthetic_month_end(s.last_day) - 6
                        THEN p.close * 100 ELSE p.close END, p.recorded_at
FROM portfolio.synthetic AS s JOIN portfolio.prices AS p ON p.instrument_id = 1
UNION ALL
SELECT 504, p.day, round(10 * avg(p.close), 2), max(p.recorded_at)
FROM portfolio.prices AS p WHERE p.instrument_id IN (1, 2, 3, 4, 5, 6, 8, 9) GROUP BY p.day;

INSERT INTO portfolio.fx_rates (base, quote, day, rate)
WITH eur AS (
    SELECT c.currency, d::date AS day,
           c.start * exp(sum(c.wobble * (portfolio.synthetic_unit(c.no, 1000 + (d::date - s.first_day)) - 0.5))
                         OVER (PARTITION BY c.currency ORDER BY d)) AS costs
    FROM portfolio.synthetic AS s,
         (VALUES (900001, 'EUR', 1.0::float8, 0.0::float8), (900002, 'USD', 1.1, 0.012), (900003, 'GBP', 0.86, 0.01),
                 (900004, 'JPY', 140.0, 0.014)) AS c(no, currency, start, wobble),
         generate_series(s.first_day::timestamp, s.last_day, interval '1 day') AS d
    WHERE extract(isodow FROM d) < 6)
SELECT b.currency, q.currency, b.day, round((q.costs / b.costs)::numeric, 10)
FROM eur AS b JOIN eur AS q ON q.day = b.day AND q.currency <> b.currency;

CREATE UNLOGGED TABLE portfolio.synthetic_dividends AS
SELECT l.id AS instrument_id, d.day, year, round(p.close * 0.02, 4) AS per_share
FROM portfolio.synthetic AS s, portfolio.synthetic_listed AS l,
     generate_series(extract(year FROM s.first_day)::integer, extract(year FROM s.last_day)::integer) AS year,
     LATERAL (SELECT portfolio.synthetic_weekday(make_date(year, l.pays_in_month::integer, 15)) AS day) AS d
     JOIN portfolio.prices AS p ON p.day = d.day
WHERE p.instrument_id = l.id AND l.pays_in_month IS NOT NULL;

CREATE UNLOGGED TABLE portfolio.synthetic_currencies AS
SELECT DISTINCT currency, listed, decimals FROM portfolio.synthetic_listed;
ANALYZE portfolio.prices, portfolio.fx_rates, portfolio.synthetic_listed, portfolio.synthetic_people,
        portfolio.synthetic_hostile, portfolio.synthetic_dividends, portfolio.synthetic_currencies;

-- step: indexes off
-- Filling a table and then indexing it is several times faster than both at
-- once. What portfolio.sql says of them is kept, to be said again at the end.
CREATE TABLE portfolio.synthetic_indexes AS
SELECT format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) AS on_again,
       format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) AS off
FROM pg_constraint
WHERE contype = 'p' AND conrelid IN ('portfolio.accounts'::regclass, 'portfolio.transactions'::regclass)
UNION ALL
SELECT pg_get_indexdef(indexrelid), format('DROP INDEX %s', indexrelid::regclass)
FROM pg_index
WHERE NOT indisprimary
  AND indrelid IN ('portfolio.users'::regclass, 'portfolio.accounts'::regclass, 'portfolio.transactions'::regclass);
DO $$ DECLARE statement text; BEGIN
    FOR statement IN SELECT off FROM portfolio.synthetic_indexes LOOP
        EXECUTE statement;
    END LOOP;
END $$;

-- What users 40 to 49 in a thousand do, so many days before that month's end.
CREATE UNLOGGED TABLE portfolio.synthetic_scripts (kind integer, slot integer, back integer, account integer, type text,
                                                   instrument_id bigint, quantity numeric, amount numeric);
INSERT INTO portfolio.synthetic_scripts VALUES
    (40, 0, 200, 0, 'deposit', NULL, 0, 10000), (40, 1, 190, 1, 'buy', 1, 20, 0),
    (40, 2, 20, 1, 'transfer_out', 1, 10, 0), (40, 3, 20, 3, 'transfer_in', 1, 10, 0), (40, 4, 10, 3, 'sell', 1, 5, 0),
    (41, 0, 200, 0, 'deposit', NULL, 0, 10000), (41, 1, 60, 1, 'sell', 2, 10, 0), (41, 2, 12, 1, 'buy', 2, 10, 0),
    (42, 1, 199, 1, 'delivery_in', 1, 10, 0), (42, 2, 150, 1, 'delivery_out', 1, 10, 0), (42, 3, 25, 1, 'delivery_in', 1, 8, 0),
    (43, 0, 100, 0, 'deposit', NULL, 0, 3000), (43, 1, 15, 0, 'withdrawal', NULL, 0, -3000),
    (44, 0, 100, 0, 'deposit', NULL, 0, 100), (44, 1, 90, 1, 'buy', 1, 10, 0), (44, 2, 20, 0, 'deposit', NULL, 0, 20000),
    (45, 0, 100, 0, 'deposit', NULL, 0, 5000), (45, 1, 90, 1, 'buy', 502, 10, 0),
    (46, 0, 100, 0, 'deposit', NULL, 0, 5000), (46, 1, 90, 1, 'buy', 503, 10, 0),
    (47, 0, 10, 0, 'deposit', NULL, 0, 1000), (47, 1, 9, 1, 'buy', 1, 1, 0),
    (48, 0, 1500, 0, 'deposit', NULL, 0, 20000), (48, 1, 1490, 1, 'buy', 7, 10, 0), (48, 2, 8, 1, 'sell', 7, 1, 0),
    (49, 0, 100, 0, 'deposit', NULL, 0, 1000), (49, 1, 25, 0, 'interest', NULL, 0, -5.5), (49, 2, 24, 0, 'tax', NULL, 0, -3),
    (49, 3, 20, 0, 'tax', NULL, 0, 1), (49, 4, 18, 0, 'fee', NULL, 0, -4), (49, 5, 12, 0, 'fee', NULL, 0, 2),
    (50, 0, 100, 0, 'deposit', NULL, 0, 5000), (50, 1, 90, 1, 'buy', 505, 1, 0),
    (51, 0, 100, 0, 'deposit', NULL, 0, 50000), (51, 1, 90, 1, 'buy', 506, 1, 0),
    -- back 34 is before the month also from a Saturday on, 27 is in it, and they are never more than ten days apart
    (52, 0, 200, 0, 'deposit', NULL, 0, 10000), (52, 1, 190, 1, 'buy', 1, 20, 0),
    (52, 2, 34, 3, 'transfer_in', 1, 10, 0), (52, 3, 27, 1, 'transfer_out', 1, 10, 0), (52, 4, 10, 3, 'sell', 1, 5, 0),
    (53, 0, 200, 0, 'deposit', NULL, 0, 10000), (53, 1, 190, 1, 'buy', 1, 20, 0),
    (53, 2, 4, 3, 'transfer_in', 1, 10, 0), (53, 3, -3, 1, 'transfer_out', 1, 10, 0);

-- step: users each 50000
INSERT INTO portfolio.users (id, email, first_name, last_name, created_at, locale, time_zone, base_currency)
SELECT id,
       CASE id % 1000
           WHEN 7 THEN E'user' || id || E'@example.com>\r\nRCPT TO:<evil@example.net'
           WHEN 8 THEN ''
           WHEN 10 THEN 'user' || id || '.example.com'
           WHEN 15 THEN 'user' || id || repeat('x', 300) || '@example.com'
           ELSE 'user' || id || '@' || (ARRAY['example.com', 'example.org', 'example.net', 'mail.test', 'post.test'])
                                       [1 + portfolio.synthetic_pick(id, 30, 5)]
       END,
       coalesce(h.first_name, p.firsts[1 + portfolio.synthetic_pick(id, 31, cardinality(p.firsts))]),
       coalesce(h.last_name, p.lasts[1 + portfolio.synthetic_pick(id, 32, cardinality(p.lasts))]),
       least(t.registered, (s.last_day + 1)::timestamp - interval '1 microsecond') AT TIME ZONE 'UTC',
       p.locale, p.time_zone,
       CASE id % 1000 WHEN 1 THEN 'XXX' WHEN 14 THEN 'eur' ELSE p.currency END
FROM portfolio.synthetic AS s, generate_series($1::bigint, $2::bigint) AS id
    -- of ten that were imported at once, the first speaks for all
    CROSS JOIN LATERAL (SELECT CASE WHEN id % 1000 BETWEEN 700 AND 709 THEN id - id % 10 ELSE id END AS at) AS o
    CROSS JOIN LATERAL (
        SELECT s.users_from::timestamp
                   + CASE WHEN id * 100 <= s.users THEN 0
                          ELSE 86400e6 * (s.last_day - s.users_from) * power(greatest(0, o.at * 100 - s.users) / (s.users * 99.0::float8), 0.6)
                               + 43200e6 * portfolio.synthetic_unit(o.at, 33) END * interval '1 microsecond' AS registered
    ) AS t
    JOIN portfolio.synthetic_people AS p ON p.no = portfolio.synthetic_pick(id, 34, 100)
    LEFT JOIN portfolio.synthetic_hostile AS h ON h.kind = id % 1000;

-- step: preferences
-- Of those of no kind below 60: who is out of the ordinary is reported on.
INSERT INTO portfolio.preferences (user_id, kind, enabled)
SELECT id, CASE id % 50 WHEN 34 THEN 'weekly' ELSE 'monthly' END, id % 50 = 35
FROM portfolio.users WHERE id % 50 IN (33, 34, 35);
ANALYZE portfolio.users, portfolio.preferences;

-- step: accounts each 50000
INSERT INTO portfolio.accounts (id, user_id, kind, currency)
SELECT u.id * 4 + a.no, u.id, a.kind, portfolio.synthetic_currency(u.id, u.base_currency, a.pair)
FROM portfolio.users AS u, (VALUES (0, 'cash', 1), (1, 'custody', 1), (2, 'cash', 2), (3, 'custody', 2)) AS a(no, kind, pair)
WHERE u.id BETWEEN $1 AND $2 AND (a.pair = 1 OR portfolio.synthetic_has_second(u.id)) AND u.id % 1000 NOT BETWEEN 40 AND 53
UNION ALL
SELECT u.id * 4 + a.no, u.id, a.kind, 'EUR'
FROM portfolio.users AS u, (VALUES (0, 'cash'), (1, 'custody'), (3, 'custody')) AS a(no, kind)
WHERE u.id BETWEEN $1 AND $2 AND u.id % 1000 BETWEEN 40 AND 53;

-- step: transactions each 20000
INSERT INTO portfolio.transactions (id, user_id, account_id, instrument_id, type, quantity, price, amount, fee, tax, currency,
                                    trade_date, recorded_at)
WITH pair AS MATERIALIZED (
    -- the first pair of accounts; at most 6 positions, skewed to few
    SELECT u.id AS user_id, c.currency, c.listed, c.decimals, s.last_day,
           (u.created_at AT TIME ZONE 'UTC')::date + portfolio.synthetic_pick(u.id, 20, 5) AS opened,
           round((500 * power(10, 2.3 * portfolio.synthetic_unit(u.id, 21))
                  * CASE c.currency WHEN 'JPY' THEN 150 ELSE 1 END)::numeric, -1) AS deposit,
           portfolio.synthetic_unit(u.id, 23) < 0.12 AS saves,
           1 + floor(6 * power(portfolio.synthetic_unit(u.id, 24), 2))::integer AS positions
    FROM portfolio.synthetic AS s, portfolio.users AS u
    JOIN portfolio.synthetic_currencies AS c ON c.currency = portfolio.synthetic_currency(u.id, u.base_currency, 1)
    WHERE u.id BETWEEN $1 AND $2 AND portfolio.synthetic_unit(u.id, 22) >= 0.08 AND u.id % 1000 NOT BETWEEN 40 AND 53
), second AS MATERIALIZED (
    SELECT p.user_id, c.currency, c.listed, c.decimals, p.last_day, f.day AS opened, p.currency AS first_currency,
           portfolio.synthetic_unit(p.user_id, 25) < 0.5 AS by_transfer,
           round(p.deposit * 0.2, p.decimals) AS paid, round(round(p.deposit * 0.2, p.decimals) * f.rate, c.decimals) AS deposit
    FROM pair AS p
    JOIN portfolio.synthetic_currencies AS c ON c.currency = portfolio.synthetic_currency(p.user_id, p.currency, 2)
    CROSS JOIN LATERAL (SELECT p.opened + 10 + portfolio.synthetic_pick(p.user_id, 26, 60) AS day OFFSET 0) AS d
    JOIN portfolio.fx_rates AS f ON f.base = p.currency AND f.quote = c.currency
                                AND f.day = portfolio.synthetic_weekday(d.day)
    WHERE portfolio.synthetic_has_second(p.user_id)
), plan AS (
    SELECT user_id, 1 AS pair, currency, listed, decimals, last_day, opened,
           CASE WHEN saves THEN least(positions, 2) ELSE positions END AS positions, deposit * 0.7 AS budget
    FROM pair
    UNION ALL
    SELECT user_id, 2, currency, listed, decimals, last_day, opened, 2, deposit * 0.9 FROM second
), bought AS MATERIALIZED (
    SELECT p.user_id, p.pair, p.currency, p.decimals, p.last_day, n, k.key, l.id AS instrument_id, l.split_day, l.split_ratio,
           l.pays_in_month, c.day, c.close, f.fee,
           p.pair = 1 AND n = 1 AND portfolio.synthetic_unit(k.key, 100) < 0.03 AS delivered,
           CASE WHEN portfolio.synthetic_unit(k.key, 101) < 0.6 AND f.share >= c.close THEN floor(f.share / c.close)
                ELSE trunc(f.share / c.close, 4) END AS quantity
    FROM plan AS p
    CROSS JOIN LATERAL generate_series(1, p.positions) AS n
    CROSS JOIN LATERAL (SELECT p.user_id * 16 + p.pair * 8 - 8 + n AS key OFFSET 0) AS k
    CROSS JOIN LATERAL (SELECT p.opened + 1 + portfolio.synthetic_pick(k.key, 102, p.last_day - p.opened) AS day OFFSET 0) AS d
    CROSS JOIN LATERAL (SELECT round(p.budget / p.positions * 0.0025, p.decimals) AS fee,
                               p.budget / p.positions * 0.9975 - 1 AS share OFFSET 0) AS f
    JOIN portfolio.synthetic_listed AS l ON l.currency = p.currency AND l.no = portfolio.synthetic_pick(k.key, 103, p.listed)
    JOIN portfolio.prices AS c ON c.instrument_id = l.id AND c.day = portfolio.synthetic_weekday(d.day)
    WHERE p.opened < p.last_day
), sold AS MATERIALIZED (
    SELECT b.key, b.user_id, b.n, b.currency, b.decimals, b.instrument_id, c.day, c.close, q.quantity,
           b.delivered AND portfolio.synthetic_unit(b.key, 107) < 0.5 AS delivered,
           round(q.quantity * c.close * 0.0025, b.decimals) AS fee,
           round(0.15 * greatest(0, q.quantity * (c.close - b.close / x.factor)), b.decimals) AS tax
    FROM bought AS b
    CROSS JOIN LATERAL (SELECT b.day + 5 + portfolio.synthetic_pick(b.key, 105, b.last_day - b.day) AS day OFFSET 0) AS d
    JOIN portfolio.prices AS c ON c.instrument_id = b.instrument_id AND c.day = portfolio.synthetic_weekday(d.day)
    CROSS JOIN LATERAL (SELECT portfolio.synthetic_factor(b.split_day, b.split_ratio, b.day, c.day) AS factor OFFSET 0) AS x
    CROSS JOIN LATERAL (SELECT trunc(b.quantity * x.factor
                                     * (ARRAY[0.25, 0.5, 1, 1])[1 + portfolio.synthetic_pick(b.key, 106, 4)], 8) AS quantity
                        OFFSET 0) AS q
    WHERE b.pair = 1 AND portfolio.synthetic_unit(b.key, 104) < 0.4 AND b.quantity > 0
), saved AS (
    -- a savings plan of the last 17 months
    SELECT p.user_id, p.currency, p.decimals, p.opened, p.last_day, j, m.day + 1 AS paid_on,
           portfolio.synthetic_weekday(m.day + 3) AS bought_on, l.id AS instrument_id, round(p.deposit / 20, p.decimals) AS paid
    FROM pair AS p
    CROSS JOIN generate_series(0, 16) AS j
    CROSS JOIN LATERAL (SELECT (date_trunc('month', p.last_day::timestamp) - j * interval '1 month')::date AS day OFFSET 0) AS m
    JOIN portfolio.synthetic_listed AS l ON l.currency = p.currency AND l.no = portfolio.synthetic_pick(p.user_id, 27, p.listed)
    WHERE p.saves AND m.day >= p.opened
), saved_for AS (
    SELECT v.*, c.close, trunc(v.paid * 0.98 / c.close, 4) AS quantity
    FROM saved AS v JOIN portfolio.prices AS c ON c.instrument_id = v.instrument_id AND c.day = v.bought_on
), yearly AS (
    SELECT p.user_id, p.currency, p.decimals, p.deposit, p.last_day, p.opened, y
    FROM pair AS p, generate_series(extract(year FROM p.opened)::integer, extract(year FROM p.last_day)::integer) AS y
), paying AS (
    -- what is held at the day of a dividend, in shares of that day
    SELECT b.user_id, b.n, b.currency, b.instrument_id, v.day, v.year, g.gross, round(g.gross * 0.15, b.decimals) AS tax
    FROM bought AS b
    JOIN portfolio.synthetic_dividends AS v ON v.instrument_id = b.instrument_id AND v.day > b.day
    LEFT JOIN sold AS o ON o.key = b.key AND o.day < v.day
    CROSS JOIN LATERAL (SELECT round((b.quantity * portfolio.synthetic_factor(b.split_day, b.split_ratio, b.day, v.day)
                                      - coalesce(o.quantity * portfolio.synthetic_factor(b.split_day, b.split_ratio, o.day, v.day), 0))
                                     * v.per_share, b.decimals) AS gross OFFSET 0) AS g
    WHERE b.pair = 1 AND b.pays_in_month IS NOT NULL AND g.gross > 0
), event(user_id, slot, account, instrument_id, type, quantity, price, amount, fee, tax, currency, day) AS (
    SELECT user_id, 0, 0, NULL::bigint, 'deposit', 0::numeric, NULL::numeric, deposit, 0::numeric, 0::numeric, currency, opened
    FROM pair WHERE opened <= last_day
    UNION ALL
    SELECT user_id, CASE pair WHEN 1 THEN n ELSE 57 + n END, pair * 2 - 1, instrument_id, 'buy', quantity, close,
           -round(quantity * close, decimals) - fee, fee, 0, currency, day
    FROM bought WHERE quantity > 0 AND NOT delivered
    UNION ALL
    SELECT user_id, n, 1, instrument_id, 'delivery_in', quantity, close, 0, 0, 0, currency, day
    FROM bought WHERE quantity > 0 AND delivered
    UNION ALL
    SELECT user_id, 6 + n, 1, instrument_id, 'sell', quantity, close, round(quantity * close, decimals) - fee - tax, fee, tax,
           currency, day
    FROM sold WHERE quantity > 0 AND NOT delivered
    UNION ALL
    SELECT user_id, 6 + n, 1, instrument_id, 'delivery_out', quantity, close, 0, 0, 0, currency, day
    FROM sold WHERE quantity > 0 AND delivered
    UNION ALL
    SELECT user_id, 8 + n * 5 + year % 5, 1, instrument_id, 'dividend', 0, NULL, gross - tax, 0, tax, currency, day FROM paying
    UNION ALL
    SELECT user_id, 43 + y % 5, 0, NULL, 'fee', 0, NULL, -round(deposit * 0.001, decimals), 0, 0, currency, make_date(y, 12, 31)
    FROM yearly WHERE make_date(y, 12, 31) <= last_day
    UNION ALL
    SELECT user_id, 48 + y % 5, 0, NULL, 'interest', 0, NULL,
           round(deposit * 0.002, decimals) - round(deposit * 0.0005, decimals), 0, round(deposit * 0.0005, decimals), currency,
           make_date(y, 1, 2)
    FROM yearly WHERE make_date(y, 1, 2) > opened AND make_date(y, 1, 2) <= last_day
    UNION ALL
    SELECT user_id, 53, 0, NULL, 'withdrawal', 0, NULL, -round(deposit * 0.03, decimals), 0, 0, currency,
           last_day - portfolio.synthetic_pick(user_id, 28, 200)
    FROM pair WHERE opened < last_day - 220 AND portfolio.synthetic_unit(user_id, 29) < 0.15
    UNION ALL
    SELECT user_id, 54, 0, NULL, 'transfer_out', 0, NULL, -paid, 0, 0, first_currency, opened FROM second WHERE by_transfer
    UNION ALL
    SELECT user_id, 55, 2, NULL, CASE WHEN by_transfer THEN 'transfer_in' ELSE 'deposit' END, 0, NULL, deposit, 0, 0, currency, opened
    FROM second
    UNION ALL
    SELECT user_id, 64 + j, 0, NULL, 'deposit', 0, NULL, paid, 0, 0, currency, paid_on FROM saved WHERE paid_on <= last_day
    UNION ALL
    SELECT user_id, 88 + j, 1, instrument_id, 'buy', quantity, close, -round(quantity * close, decimals), 0, 0, currency, bought_on
    FROM saved_for WHERE quantity > 0
    UNION ALL
    -- the ones out of the ordinary
    SELECT u.id, k.slot, k.account, k.instrument_id, k.type, k.quantity, p.close,
           k.amount + CASE k.type WHEN 'buy' THEN -round(k.quantity * p.close, 2) WHEN 'sell' THEN round(k.quantity * p.close, 2)
                                  ELSE 0 END, 0, 0, 'EUR', d.day
    FROM portfolio.synthetic AS s, portfolio.users AS u
    JOIN portfolio.synthetic_scripts AS k ON k.kind = u.id % 1000
    CROSS JOIN LATERAL (SELECT portfolio.synthetic_weekday(portfolio.synthetic_month_end(s.last_day) - k.back) AS day OFFSET 0) AS d
    LEFT JOIN portfolio.prices AS p ON p.instrument_id = k.instrument_id AND p.day = d.day
    WHERE u.id BETWEEN $1 AND $2 AND d.day <= s.last_day
    UNION ALL
    -- the broken ones
    SELECT u.id, k.slot, k.account, k.instrument_id, k.type, k.quantity, k.price, k.amount, 0, 0, k.currency,
           coalesce(k.day, least(portfolio.synthetic_weekday((u.created_at AT TIME ZONE 'UTC')::date), s.last_day))
    FROM portfolio.synthetic AS s, portfolio.users AS u
    JOIN (VALUES
        (2, 120, 1, 501, 'buy', 10::numeric, 12.5::numeric, -125::numeric, 'EUR', NULL::date),
        (3, 120, 1, 1, 'buy', -5, 10, 50, 'EUR', NULL),
        (4, 120, 1, 1, 'buy', 9e18, 1, -9e15, 'EUR', NULL),
        (5, 120, 1, 2, 'sell', 10, 100, 1000, 'EUR', NULL),
        (6, 120, 1, 999999999, 'buy', 10, 10, -100, 'EUR', NULL),
        (9, 120, 1, 1, 'buy', 10, 'NaN', 'NaN', 'EUR', NULL),
        (11, 120, 0, NULL, 'deposit', 0, NULL, 1000, 'CHF', NULL),
        (12, 120, 1, 1, 'buy', 10, 10, -100, 'EUR', '-infinity'),
        (13, 120, 0, NULL, 'gift', 0, NULL, 25, 'EUR', NULL),
        (16, 120, 1, 3, 'buy', 1, 100, -100, 'EUR', NULL),
        (16, 121, 1, 3, 'sell', 1000, 100, 100000, 'EUR', NULL)
    ) AS k(kind, slot, account, instrument_id, type, quantity, price, amount, currency, day) ON k.kind = u.id % 1000
    WHERE u.id BETWEEN $1 AND $2
)
-- one in two hundred was recorded days later than it happened
SELECT user_id * 128 + slot, user_id, user_id * 4 + account, instrument_id, type, quantity, price, amount, fee, tax, currency, day,
       least(day::timestamp + CASE WHEN portfolio.synthetic_unit(user_id, 200 + slot) < 0.005 THEN interval '66 hours'
                                   ELSE interval '18 hours' END, (SELECT last_day + 1 FROM portfolio.synthetic)::timestamp)
           AT TIME ZONE 'UTC'
FROM event;

-- step: indexes on
DO $$ DECLARE statement text; BEGIN
    PERFORM set_config('maintenance_work_mem', '256MB', true);
    FOR statement IN SELECT on_again FROM portfolio.synthetic_indexes LOOP
        EXECUTE statement;
    END LOOP;
END $$;

-- step: clean up
DROP TABLE portfolio.synthetic_people, portfolio.synthetic_hostile, portfolio.synthetic_listed, portfolio.synthetic_dividends,
           portfolio.synthetic_currencies, portfolio.synthetic_indexes, portfolio.synthetic_scripts;
DROP FUNCTION portfolio.synthetic_currency, portfolio.synthetic_month_end, portfolio.synthetic_has_second, portfolio.synthetic_weekday,
              portfolio.synthetic_factor, portfolio.synthetic_pick, portfolio.synthetic_unit;
ANALYZE portfolio.users, portfolio.preferences, portfolio.accounts, portfolio.instruments, portfolio.transactions,
        portfolio.prices, portfolio.fx_rates, portfolio.splits;
UPDATE portfolio.synthetic SET complete = true;
