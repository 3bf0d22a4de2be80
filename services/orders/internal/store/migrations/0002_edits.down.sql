alter table checkpoint rename column event_id to message_id;
delete from rollup where dim = 'month_cube';
alter table orders drop column if exists confirmed;
drop table if exists edits;
