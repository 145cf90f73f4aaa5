-- Days in staging: updates, one of them late, a team without members, two records of one time.
insert into stg_customers values
 ('2026-01-05',1,1,'Ada@x.com','Ada',100,'2026-01-04 10:00Z'),
 ('2026-01-05',2,2,'Ben@x.com','Ben',100,'2026-01-05 08:00Z'),
 ('2026-01-05',3,2,'Ben@x.com','Benjamin',100,'2026-01-05 08:00Z'),
 ('2026-01-05',4,3,'Cem@x.com','Cem',null,null),
 ('2026-01-06',1,1,'ada@y.com','Ada B',200,'2026-01-06 10:00Z'),
 ('2026-01-06',2,2,'ben@x.com','Ben',50,'2026-01-03 08:00Z'),
 ('2026-01-06',3,4,'dee@x.com','Dee',1,'2026-01-06 08:00Z');
insert into stg_teams values
 ('2026-01-05',1,'Core','{1,2,3}'),('2026-01-05',2,'Data','{2,2,4}'),
 ('2026-01-06',1,'Core','{1,3}'),('2026-01-06',2,'Data','{}'),('2026-01-06',3,'New','{9}');
insert into stg_departments values
 ('2026-01-05',1,null,'HQ',0),('2026-01-05',2,1,'Sales',0),('2026-01-05',3,2,'East',4),('2026-01-05',4,1,'Lab',0),
 ('2026-01-06',3,2,'East',0),('2026-01-06',4,1,'Lab',2);
insert into stg_prices values ('2026-01-05','a',1),('2026-01-05','b',5),('2026-01-06','a',2),('2026-01-06','b',5),('2026-01-07','a',1),('2026-01-07','b',7);
insert into stg_stock values ('2026-01-05','a','w1',5),('2026-01-05','b','w1',0),('2026-01-06','a','w1',4),('2026-01-06','a','w2',1);
insert into stg_suppliers values ('2026-01-05',1,'Acme','Bonn',false),('2026-01-05',2,'Bolt',null,false),('2026-01-06',1,'Acme GmbH','Bonn',false),('2026-01-06',2,'Bolt','Ulm',true),('2026-01-06',3,'Cog',null,false);
insert into stg_payments values ('2026-01-05',1,7,10),('2026-01-05',2,7,5),('2026-01-05',3,8,1),('2026-01-06',4,7,-3),('2026-01-06',5,9,2);
