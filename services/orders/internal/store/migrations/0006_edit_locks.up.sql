-- Who edits which orders at the moment. Nothing is lost with it, so it is not in the write-ahead log.
create unlogged table if not exists orders.edit_locks (
    key integer primary key,
    holder text not null,
    until timestamptz not null
);
