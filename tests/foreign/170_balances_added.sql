DO $$
DECLARE
    r record;
    n int := 0;
BEGIN
    PERFORM set_config('work_mem', '64MB', false);
    FOR r IN SELECT account_id, amount FROM stg_payments WHERE day = current_setting('app.day')::date LOOP
        UPDATE account_balance SET balance = balance + r.amount WHERE account_id = r.account_id;
        IF NOT FOUND THEN
            INSERT INTO account_balance VALUES (r.account_id, r.amount);
        END IF;
        n := n + 1;
    END LOOP;
    INSERT INTO pipeline_metrics (flow_run_id, task_name, pipeline_name, table_name, day, rows_inserted, rows_affected, status, started_at, finished_at)
    VALUES (current_setting('app.flow_run_id'), 'balances_added_task', 'crm', 'account_balance', current_setting('app.day'), n, n, 'success', now(), now());
END $$;
