def lookups(*a): raise NotImplementedError
def sizes(*a): raise NotImplementedError
def live(*a): raise NotImplementedError
def start_up(*a): raise NotImplementedError
