-- `albums` as before, without what only SQLite 3.44 and newer can read: one view that it cannot parse, and an older
-- program (Debian 12 has 3.40) opens nothing of the file at all.

drop view albums;

create view albums as
select p.peer_id, p.grouped_id, min(p.message_id) as message_id, min(p.posted_at) as posted_at,
       max(p.received_at) as received_at, count(*) as parts,
       (select t.text from message_content t
        left join message_state d on d.peer_id = t.peer_id and d.message_id = t.message_id
        where t.peer_id = p.peer_id and t.grouped_id = p.grouped_id and t.text <> '' and d.deleted_at is null
        order by t.message_id limit 1) as text,
       (select json_group_array(o.message_id) from (
        select m.message_id from message_content m
        left join message_state d on d.peer_id = m.peer_id and d.message_id = m.message_id
        where m.peer_id = p.peer_id and m.grouped_id = p.grouped_id and d.deleted_at is null
        order by m.message_id) o) as message_ids,
       (select json_group_array(json(o.media)) from (
        select m.media from message_content m
        left join message_state d on d.peer_id = m.peer_id and d.message_id = m.message_id
        where m.peer_id = p.peer_id and m.grouped_id = p.grouped_id and d.deleted_at is null
        order by m.message_id) o) as media
from message_content p
left join message_state s on s.peer_id = p.peer_id and s.message_id = p.message_id
where p.grouped_id is not null and s.deleted_at is null
group by p.peer_id, p.grouped_id
having max(p.received_at) < strftime('%Y-%m-%dT%H:%M:%S', 'now', '-2 seconds') || '.000000Z';
