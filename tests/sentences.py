"""Fifty sentences, short and long, for tests on real attention."""

SENTENCES = """\
Stop.
It rained all day.
The keys to the cabinet are lost.
She asked the doctor about her backache.
John tried to convince Mary of his love and brought her flowers.
The dogs near the barn bark whenever a car passes.
Nobody expected the committee to agree so quickly.
What the witness remembered was not what the camera had recorded.
Every child in the village learns to swim before learning to read.
The report that the auditors wrote was ignored by the board.
Although he was tired, he finished painting the fence.
The bakery on the corner sells bread, cakes and coffee.
A bird in the hand is worth two in the bush.
Our train was late because a tree had fallen onto the line.
The scientist who discovered the comet named it after her mother.
Prices rose by 3.5 percent in the second quarter of 2019.
"I never said that," the minister replied, "and you know it."
The bridge, built in 1894, was closed for repairs.
If you press this button twice, the machine stops.
The soup tastes wonderful, but the service was terrible.
My grandmother's recipe calls for butter, not oil.
The players were exhausted after the match against the champions.
He gave the letter to the woman whom he had met at the station.
Water boils at a lower temperature in the mountains.
Neither the teacher nor the students have read the book.
The film is neither funny nor sad, and far too long.
A group of tourists was waiting outside the museum.
The lawyer told the judge that he was mistaken.
Fresh snow covered the roofs, the gardens and the road to the mill.
They say that the old clock has not worked since the war.
Which of the candidates do you think the voters will choose?
The cat that the dog that the boy owned chased ran up a tree.
Her first novel was praised; her second was barely noticed.
The company announced that it would hire two hundred engineers.
Unfortunately, the antidisestablishmentarian pamphlet was misfiled.
Turn left at the church, then follow the river for a mile.
The doctor's advice about sleep was simple: go to bed early and get up early.
Some of the paintings in the gallery are copies.
It is the quiet of the desert that visitors remember.
The new law protects tenants but does not help those who have already moved.
Machines that translate speech have become faster, cheaper and better, and yet few travellers trust them.
The musicians tuned their instruments while the audience looked for its seats.
Because the harvest had failed twice, the family sold the farm and moved to the coast.
The mayor, who had promised to lower taxes, raised them in her first year, which surprised nobody.
Three men in a boat, to say nothing of the dog, went up the river.
He put the book that he had borrowed from the library on the shelf above the desk.
When the lights went out, everyone in the theatre fell silent, and someone laughed.
The guide explained that the walls of the castle had been built from the stones of an older one.
Scientists have long suspected that the birds steer by the stars, but only now, after years of watching them cross \
the sea by night, do they have the measurements to show it, and the result has changed how migration is taught.
The letter, which had been posted in spring, reached the island in autumn, after the ship that carried it had twice \
been turned back by storms and once, as its captain later told the owners, by a dispute over the price of coal.
""".splitlines()
