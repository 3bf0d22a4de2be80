-- One batch of the projection. Every part reads the tables as they were before it, and nothing
-- happens when the checkpoint is not where the writer believes it to be. As nobody else writes
-- while it is, rows can be told new from old beforehand, which is cheaper than ON CONFLICT.
-- The columns of cells, in double braces, are those of the table in pkg/event/schema (columns.go).
with fence as materialized (
    update orders.checkpoint set seq = @seq, event_id = @message_id
    where stream = @stream and stream_created = @stream_created and epoch = @epoch and seq = @seq_before and not rebuild
    returning epoch
), input as materialized (
    -- Without a seq it is the row again, as new edits make it: still of the event it came from.
    select i.record_id, i.deleted, {{.Read}}, i.created_at, i.updated_at, i.doc, i.confirmed,
           case when i.seq = 0 then o.epoch else fence.epoch end as epoch, case when i.seq = 0 then o.seq else i.seq end as seq,
           o.record_id is not null as known,
           o.customer_fold as old_customer, o.status as old_status, o.priority as old_priority,
           o.order_date as old_date, coalesce(o.amount, 0) as old_amount
    from fence cross join unnest(@record_id::text[], @deleted::boolean[], {{.Parameters}},
                                 @created_at::timestamptz[], @updated_at::timestamptz[], @doc::text[], @confirmed::text[], @row_seq::bigint[])
        as i (record_id, deleted, {{.Names}}, created_at, updated_at, doc, confirmed, seq)
    left join orders.orders o on o.record_id = i.record_id collate "C"
    where case when i.seq = 0 then o.record_id is not null
               else o.record_id is null or (o.epoch, o.seq) < (fence.epoch, i.seq) end
), removed as (
    delete from orders.orders o using input i
    where i.known and i.deleted and o.record_id = i.record_id collate "C"
), changed as (
    update orders.orders o
    set {{.Set}},
        created_at = i.created_at, updated_at = i.updated_at, doc = i.doc, confirmed = i.confirmed,
        epoch = i.epoch, seq = i.seq
    from input i
    where i.known and not i.deleted and o.record_id = i.record_id collate "C"
), added as (
    insert into orders.orders (record_id, {{.Names}}, created_at, updated_at, doc, confirmed, epoch, seq)
    select record_id, {{.Names}}, created_at, updated_at, doc, confirmed, epoch, seq
    from input where not known and not deleted
), history as (
    insert into orders.order_history (record_id, event_id, epoch, seq, at, edit_ids, entry)
    select h.record_id, h.event_id, fence.epoch, h.seq, h.at, h.edit_ids, h.entry
    from fence, unnest(@history_record::text[], @event_id::text[], @history_seq::bigint[], @at::timestamptz[], @edit_ids::text[], @entry::text[])
        as h (record_id, event_id, seq, at, edit_ids, entry)
    on conflict do nothing
), edited as (
    insert into orders.edits (id, record_id, at, state, edit, epoch, seq)
    select e.id, e.record_id, e.at, e.state, e.edit, fence.epoch, e.seq
    from fence, unnest(@edit::text[], @edit_record::text[], @accepted::timestamptz[], @state::text[], @edit_body::text[], @edit_seq::bigint[])
        as e (id, record_id, at, state, edit, seq)
    on conflict (id) do update set state = excluded.state, edit = excluded.edit
    where excluded.state <> 'pending'
), delta as materialized (
    select old_customer as customer_fold, old_status as status, old_priority as priority, old_date as order_date,
           -1 as n, -old_amount as amount
    from input where known
    union all
    select customer_fold, status, priority, order_date, 1, coalesce(amount, 0)
    from input where not deleted
), cells as materialized ( -- of the cube; the other dims are sums of these
    select status, priority, order_date, date_trunc('month', order_date)::date as month, sum(n) as n, sum(amount) as amount
    from delta
    group by status, priority, order_date
), rolled as (
    insert into orders.rollup (dim, order_date, status, priority, n, amount)
    select case grouping(status, priority, order_date, month)
               when 1 then 'cube' when 2 then 'month_cube' when 7 then 'status' when 11 then 'priority' when 13 then 'day' when 14 then 'month' else 'all'
           end,
           case when grouping(month) = 0 then month else order_date end, status, priority, sum(n), sum(amount)
    from cells
    group by grouping sets ((status, priority, order_date), (status, priority, month), (status), (priority), (order_date), (month), ())
    having sum(n) <> 0 or sum(amount) <> 0
    on conflict (dim, day, status, priority) do update
    set n = rollup.n + excluded.n, amount = rollup.amount + excluded.amount
), counts as materialized (
    select d.customer_fold, d.n, c.customer_fold is not null as known
    from (select customer_fold, sum(n) as n from delta where customer_fold is not null
          group by customer_fold having sum(n) <> 0) d
    left join orders.customers c on c.customer_fold = d.customer_fold collate "C"
), recounted as (
    update orders.customers c set n = c.n + d.n from counts d where d.known and c.customer_fold = d.customer_fold collate "C"
), counted as (
    insert into orders.customers (customer_fold, n) select customer_fold, n from counts where not known
)
select not exists (select from fence)
