-- A step that empties staging when it has read it, in a style of its own.
BEGIN;

CREATE TEMP TABLE incoming AS
SELECT DISTINCT ON (card_id) card_id, status, day
FROM stg_cards
WHERE day = current_setting('app.day')
ORDER BY card_id, updated_time DESC, position DESC;

CREATE TEMP TABLE done AS
WITH done AS (
    INSERT INTO card_history (card_id, day, status)
    SELECT card_id, day, status FROM incoming
    ON CONFLICT (card_id, day) DO UPDATE SET status = EXCLUDED.status
    WHERE card_history.status <> EXCLUDED.status
    RETURNING (xmax = 0) AS inserted
)
SELECT * FROM done;

INSERT INTO pipeline_metrics (flow_run_id, task_name, pipeline_name, day, rows_inserted, rows_affected, status)
SELECT current_setting('app.flow_run_id'), 'cards_task', 'cards', current_setting('app.day'), count(*), count(*), 'success'
FROM done;

TRUNCATE stg_cards;

COMMIT;
