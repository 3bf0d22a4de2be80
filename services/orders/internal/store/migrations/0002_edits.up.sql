-- Edits of orders, kept for good: what order.edited events said of them.
create table if not exists edits (
    id        text collate "C" primary key,
    record_id text collate "C" not null,
    at        timestamptz not null,            -- when it was accepted; of edits of a record the newest counts
    state     text collate "C" not null,       -- pending, applied or rejected
    edit      text collate "C" not null,       -- as it is served, one JSON object
    epoch     bigint not null,                 -- with seq: where in the history it stands
    seq       bigint not null
);
create index if not exists edits_by_record on edits (record_id, at, id);
create index if not exists edits_pending on edits (record_id) where state = 'pending';

-- The order as Airtable has it, where doc shows edits; null where doc is that.
alter table orders add column if not exists confirmed text collate "C";

-- Counts of each (status, priority, month): lists filtered by those find the month of a page in them.
insert into rollup (dim, order_date, status, priority, n, amount)
select 'month_cube', date_trunc('month', order_date)::date, status, priority, count(*), coalesce(sum(amount), 0)
from orders group by 2, 3, 4
on conflict (dim, day, status, priority) do update set n = excluded.n, amount = excluded.amount;

-- A writer of the version before must not go on, as it knows nothing of all this.
do $$
begin
    alter table checkpoint rename column message_id to event_id;
exception when undefined_column then -- renamed already
end $$;
