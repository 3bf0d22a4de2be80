drop table if exists orders.edit_locks;
