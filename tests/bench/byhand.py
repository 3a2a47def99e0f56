"""The questions of item 5 as one hand-written SQL statement each, as fast as we know to write them.

They rest on what is known of the data and no view does: a basket has one time stamp, one household and one shop, so
baskets are counted by grouping once, never by counting distinct values again and again.
"""

from __future__ import annotations

from collections.abc import Mapping

#: Lines with what they bring, under the columns that both statements sum. Money stays exact, as in the warehouse.
_LINES = """
    cost AS (SELECT product_id, department, coalesce(share, (SELECT share FROM shares WHERE department = '*')) AS share
             FROM products LEFT JOIN shares USING (department)),
    line AS (
        SELECT basket_id, household_id, store_id, day, coalesce(department, 'UNKNOWN') AS department,
               sales_value AS revenue, retail_disc + coupon_match_disc AS discount,
               (sales_value + retail_disc + coupon_match_disc)
                   * coalesce(share, (SELECT share FROM shares WHERE department = '*')) AS goods
        FROM transactions LEFT JOIN cost USING (product_id) WHERE day BETWEEN {first} AND $as_of)"""

UNIT = f"""
    WITH shares AS ({{shares}}), {_LINES.format(first="$old_first")},
    basket AS (
        SELECT any_value(household_id) AS household_id, any_value(day) AS day, sum(revenue) AS revenue,
               sum(discount) AS discount, sum(goods) AS goods
        FROM line GROUP BY basket_id),
    unit AS (
        SELECT household_id, sum(revenue) FILTER (WHERE day >= $first) AS revenue,
               sum(discount) FILTER (WHERE day >= $first) AS discount, sum(goods) FILTER (WHERE day >= $first) AS goods,
               count(*) FILTER (WHERE day >= $first) AS baskets,
               sum(revenue - goods - $handling) FILTER (WHERE day BETWEEN $pre_first AND $pre_last) AS pre
        FROM basket GROUP BY household_id),
    known AS (SELECT DISTINCT household_id FROM transactions WHERE day < $first),
    treated AS (SELECT DISTINCT household_id FROM assignments WHERE experiment = $experiment),
    redeemed AS (SELECT household_id, count(*) AS coupons FROM redemptions
                 WHERE day BETWEEN $first AND $as_of AND experiment = $experiment GROUP BY household_id),
    flat AS (
        SELECT treated.household_id IS NOT NULL AS is_treated, coalesce(baskets, 0) AS baskets,
               coalesce(revenue, 0)::DOUBLE AS revenue, coalesce(discount, 0)::DOUBLE AS discount,
               coalesce(goods, 0)::DOUBLE AS goods, coalesce(coupons, 0) AS coupons, coalesce(pre, 0)::DOUBLE AS pre,
               if(treated.household_id IS NULL, 0, $contact) AS contact
        FROM known LEFT JOIN unit USING (household_id) LEFT JOIN treated USING (household_id)
             LEFT JOIN redeemed USING (household_id)),
    done AS (SELECT *, revenue - goods - baskets * $handling - coupons * $clearing - contact AS profit FROM flat)
    SELECT if(is_treated, 'Treated', 'Not treated') AS arm, count(*) AS units,
           count(*) FILTER (WHERE baskets > 0) AS active, sum(baskets)::BIGINT AS baskets,
           sum(coupons)::BIGINT AS coupons, sum(revenue + discount) AS list_value, sum(discount) AS discount,
           sum(revenue) AS revenue, sum(goods) AS goods, sum(baskets) * $handling AS handling,
           sum(coupons) * $clearing AS clearing, sum(contact) AS contact, sum(profit) AS profit,
           sum(profit * profit) AS yy, sum(pre) AS x, sum(pre * pre) AS xx, sum(profit * pre) AS xy
    FROM done GROUP BY is_treated ORDER BY is_treated DESC"""

_SUMS = "sum(revenue + discount) AS list_value, sum(discount) AS discount, sum(revenue) AS revenue, sum(goods) AS goods"

#: Kinds of rows: `total` by span, `day` by day, `department` and `group` of shops for the month. Money is summed from
#: the lines, and heads are counted from baskets without money: a table of every basket with its sums would be big.
AGGREGATE = f"""
    WITH shares AS ({{shares}}), {_LINES.format(first="$year")},
    money AS (SELECT day, {_SUMS}, count(*) AS lines FROM line GROUP BY day),
    basket AS MATERIALIZED (
        SELECT DISTINCT basket_id, day, household_id, store_id FROM transactions WHERE day BETWEEN $year AND $as_of),
    visit AS MATERIALIZED (SELECT day, household_id, count(*) AS baskets FROM basket GROUP BY day, household_id),
    heads AS (SELECT day, sum(baskets) AS baskets, count(*) AS households FROM visit GROUP BY day),
    seen AS (SELECT household_id, max(day) AS last FROM visit GROUP BY household_id),
    redeemed AS (SELECT day, count(*) AS redeemed FROM redemptions WHERE day BETWEEN $year AND $as_of GROUP BY day),
    whole AS (
        SELECT day, list_value, discount, revenue, goods, baskets, households, lines, coalesce(redeemed, 0) AS redeemed
        FROM money JOIN heads USING (day) LEFT JOIN redeemed USING (day)),
    span(name, first) AS (VALUES ('day', $as_of::DATE), ('month', $month::DATE), ('year', $year::DATE)),
    size AS (
        SELECT store_id, count(*) / any_value(weeks) AS weekly
        FROM basket, (SELECT greatest(1, least(13, ($as_of::DATE - min(day) + 1) / 7)) AS weeks FROM money)
        WHERE day >= $as_of::DATE - 90 GROUP BY store_id),
    shop AS (
        SELECT store_id, CASE WHEN weekly >= 40 THEN 'Large' WHEN weekly >= 10 THEN 'Medium' ELSE 'Small' END AS name
        FROM size)
    SELECT 'total' AS kind, name AS key, sum(list_value) AS list_value, sum(discount) AS discount,
           sum(revenue) AS revenue, sum(goods) AS goods, sum(baskets) AS baskets,
           (SELECT count(*) FROM seen WHERE last >= any_value(first)) AS households, sum(lines) AS lines,
           sum(redeemed) AS redeemed, NULL AS stores
    FROM span JOIN whole ON day >= first GROUP BY name
    UNION ALL
    SELECT 'day', day::VARCHAR, list_value, discount, revenue, goods, baskets, households, lines, redeemed, NULL
    FROM whole
    UNION ALL
    SELECT 'department', department, {_SUMS}, NULL, NULL, NULL, NULL, NULL
    FROM line WHERE day >= $month GROUP BY department
    UNION ALL
    SELECT 'group', name, sum(list_value), sum(discount), sum(revenue), sum(goods), any_value(heads.baskets),
           any_value(heads.households), sum(lines), NULL, count(*)
    FROM (SELECT store_id, {_SUMS}, count(*) AS lines FROM line WHERE day >= $month GROUP BY store_id)
         JOIN shop USING (store_id)
         JOIN (SELECT name, count(*) AS baskets, count(DISTINCT household_id) AS households
               FROM basket JOIN shop USING (store_id) WHERE day >= $month GROUP BY name) AS heads USING (name)
    GROUP BY name"""


def shares(costs: Mapping[str, float]) -> str:
    """The assumed cost shares as rows of SQL."""
    rows = ", ".join(f"('{name}', {share}::DECIMAL(6, 4))" for name, share in costs.items())
    return f"SELECT * FROM (VALUES {rows}) AS t(department, share)"
