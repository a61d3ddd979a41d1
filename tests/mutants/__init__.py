"""Does the net hold? `make mutants` plants one bug after another into a copy of the product and looks who notices.

    mutant.py   a bug as data                     bugs/      the list, by what it breaks
    rows.py     one of each row of the transition table, dropped and redirected
    play.py     the simulation, inside of a copy  hunt.py    one bug: copy, plant, play, result
    page.py     the results, in docs/mutants.md   __main__.py   all of them, with progress

`test_mutants` keeps the list fitting the code, without playing anything.
"""
