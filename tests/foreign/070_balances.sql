DO $$
DECLARE
    v_day  date := current_setting('app.day')::date;
    v_ins  bigint := 0;
    v_upd  bigint := 0;
    v_n    bigint;
    rec    record;
BEGIN
    INSERT INTO payments (payment_id, account_id, amount, day)
    SELECT payment_id, account_id, amount, day
      FROM stg_payments
     WHERE day = v_day
    ON CONFLICT (payment_id) DO NOTHING;
    GET DIAGNOSTICS v_n = ROW_COUNT;
    v_ins := v_ins + v_n;

    FOR rec IN
        SELECT p.account_id, sum(p.amount) AS balance
          FROM payments p
         WHERE p.account_id IN (SELECT account_id FROM stg_payments WHERE day = v_day)
         GROUP BY p.account_id
         ORDER BY p.account_id
    LOOP
        UPDATE account_balance b
           SET balance = rec.balance
         WHERE b.account_id = rec.account_id
           AND b.balance <> rec.balance;
        GET DIAGNOSTICS v_n = ROW_COUNT;
        v_upd := v_upd + v_n;
        IF v_n = 0 THEN
            INSERT INTO account_balance (account_id, balance)
            VALUES (rec.account_id, rec.balance)
            ON CONFLICT (account_id) DO NOTHING;
            GET DIAGNOSTICS v_n = ROW_COUNT;
            v_ins := v_ins + v_n;
        END IF;
    END LOOP;

    INSERT INTO pipeline_metrics (flow_run_id, task_name, pipeline_name, table_name, day,
                                  rows_inserted, rows_updated, rows_affected, status, finished_at)
    VALUES (current_setting('app.flow_run_id'), 'balances_task', 'crm', 'account_balance', current_setting('app.day'),
            v_ins, v_upd, v_ins + v_upd, 'success', clock_timestamp());
END
$$;
