CREATE TABLE products (
	sku         TEXT PRIMARY KEY CHECK (sku <> ''),
	position    INTEGER NOT NULL UNIQUE,
	name        TEXT NOT NULL CHECK (name <> ''),
	description TEXT NOT NULL,
	price_cents INTEGER NOT NULL CHECK (price_cents > 0)
) STRICT;

INSERT INTO products (position, sku, name, description, price_cents) VALUES
	(1, 'CAF-001', 'Matin coffee, 250 g', 'Whole beans from Huehuetenango, roasted on Mondays. Chocolate, plum, a long finish.', 1290),
	(2, 'CAF-002', 'Soir decaf coffee, 250 g', 'Decaffeinated with mountain water, for the second cup after dinner.', 1390),
	(3, 'THE-001', 'Brume green tea, 100 g', 'Steamed sencha with a little mint. Ninety seconds, no more.', 1150),
	(4, 'TAS-001', 'Stoneware mug', 'Thrown and glazed in the Drôme. Holds 280 ml and keeps its warmth.', 2400),
	(5, 'CAR-001', 'Linen notebook, A5', '192 dotted pages that lie flat, thread-bound in Lyon.', 1850),
	(6, 'STY-001', 'Brass fountain pen', 'Fine nib, lathe-turned barrel, made to be inherited.', 6800),
	(7, 'BOU-001', 'Beeswax candle', 'Hand-dipped, forty hours of quiet light.', 1600),
	(8, 'TEI-001', 'Cast-iron teapot, 0.8 l', 'Enamelled inside, with a strainer. The last ones of the season.', 8900);
