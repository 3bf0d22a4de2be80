drop table if exists orders, order_history, rollup, customers, checkpoint;
drop function if exists fold(text);
