-- How the search for what a gap hides ended. A gap is known by its peer and its ends.
create table gap_closing (
    seq              integer primary key,
    peer_id          integer,
    after_pts        integer,
    until_pts        integer,
    after_message_id integer,
    until_message_id integer,
    outcome          text not null,
    found            integer not null,
    closed_at        text not null
) strict;

drop view gaps;
create view gaps as
select g.seq, g.peer_id, g.cause, g.after_pts, g.until_pts, g.after_message_id, g.until_message_id, g.noticed_at,
       c.closed_at, c.outcome, c.found
from gap g
left join gap_closing c on c.seq = (
    select max(o.seq) from gap_closing o
    where o.seq > g.seq and o.peer_id is g.peer_id
      and o.after_pts is g.after_pts and o.until_pts is g.until_pts
      and o.after_message_id is g.after_message_id and o.until_message_id is g.until_message_id
);

-- Albums, each as one item once its parts have been quiet for two seconds: Telegram sends them one by one and does not
-- say how many there are. Deleted parts are left out.
create index message_content_album on message_content (peer_id, grouped_id, message_id) where grouped_id is not null;

create view albums as
select p.peer_id, p.grouped_id, min(p.message_id) as message_id, min(p.posted_at) as posted_at,
       max(p.received_at) as received_at, count(*) as parts,
       (select t.text from message_content t
        left join message_state d on d.peer_id = t.peer_id and d.message_id = t.message_id
        where t.peer_id = p.peer_id and t.grouped_id = p.grouped_id and t.text <> '' and d.deleted_at is null
        order by t.message_id limit 1) as text,
       json_group_array(p.message_id order by p.message_id) as message_ids,
       json_group_array(json(p.media) order by p.message_id) as media
from message_content p
left join message_state s on s.peer_id = p.peer_id and s.message_id = p.message_id
where p.grouped_id is not null and s.deleted_at is null
group by p.peer_id, p.grouped_id
having max(p.received_at) < strftime('%Y-%m-%dT%H:%M:%S', 'now', '-2 seconds') || '.000000Z';
